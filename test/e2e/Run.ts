/** Scenarios on pairs of versions, one after the other, on one stand. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Build from "./Build.ts"
import * as Components from "./Components.ts"
import * as Namespace from "./Namespace.ts"
import { Processes } from "./Processes.ts"
import type { Result } from "./Report.ts"
import type { Pair, Scenario } from "./Scenario.ts"
import { Stand } from "./Stand.ts"
import * as Stands from "./Stand.ts"
import * as Terminal from "./Terminal.ts"
import { Verify } from "./Verify.ts"

/** What to run on a pair. */
export interface Step {
  readonly pair: Pair
  readonly scenarios: ReadonlyArray<Scenario>
}

const describe = ({ operator, velero }: Pair): string => `Velero ${velero}, CloudNativePG ${operator}`

const componentsOf = (pairs: ReadonlyArray<Pair>): ReadonlyArray<Components.Component> => [
  ...Object.values(Components.always),
  ...[...new Set(pairs.map(({ velero }) => velero))].map(Components.velero),
  ...[...new Set(pairs.map(({ operator }) => operator))].map(Components.operator)
]

/** Whatever ended a scenario, in words that fit into a table; of a bug, where it is. */
const messageOf = (cause: Cause.Cause<{ readonly message: string }>): string => {
  const error = Cause.squash(cause)
  const text = !Cause.hasDies(cause) && error instanceof Error ? error.message : Cause.pretty(cause)
  return text.length > 600 ? `${text.slice(0, 600)}…` : text
}

const runScenario = Effect.fnUntraced(function* (pair: string, { expected, name, run }: Scenario) {
  const { broken } = yield* Processes
  const failures: Array<string> = []
  const { millis, value: exit } = yield* Terminal.during(
    `run ${name}`,
    Effect.exit(Effect.raceFirst(Effect.provideService(run, Verify, { failures }), broken))
  )
  const passed = Exit.isSuccess(exit) && failures.length === 0
  const seen = Exit.isSuccess(exit) ? (passed ? [exit.value] : failures) : [...failures, messageOf(exit.cause)]
  yield* Terminal.line(`${passed ? "ok" : "FAILED"} ${name}, ${Terminal.duration(millis)}`)
  return { pair, scenario: name, expected, seen, passed, millis } satisfies Result
})

const start = (pair: Pair, plugin: string) =>
  Terminal.during(
    `start ${describe(pair)}`,
    Effect.gen(function* () {
      const stand = yield* Stand
      yield* stand.useOperator(pair.operator)
      yield* stand.useVelero({ version: pair.velero, plugins: [plugin] })
    })
  )

const runStep = Effect.fnUntraced(function* ({ pair, scenarios }: Step, plugin: string) {
  // What scenarios made stays until here: they have namespaces of their own. Another operator's CRDs must not meet it.
  yield* Namespace.removeAll()
  yield* start(pair, plugin)
  return yield* Effect.forEach(scenarios, (scenario) => runScenario(describe(pair), scenario))
})

/** Runs everything; a scenario that fails does not stop the others. */
export const run = Effect.fn("Run.run")(function* (steps: ReadonlyArray<Step>, plugin: string) {
  yield* Build.buildAll(componentsOf(steps.map(({ pair }) => pair)))
  const results = yield* Effect.forEach(steps, (step) => runStep(step, plugin)).pipe(Effect.provide(Stands.layer))
  return results.flat()
})

/** Starts a stand, prepares something on it, and leaves it to the user until they have enough of it. */
export const keep = Effect.fn("Run.keep")(function* <E, R>(
  pair: Pair,
  plugin: string,
  prepare: Effect.Effect<string, E, R>
) {
  yield* Build.buildAll(componentsOf([pair]))
  return yield* start(pair, plugin).pipe(
    Effect.andThen(prepare),
    Effect.flatMap(Terminal.line),
    Effect.andThen(Effect.never),
    Effect.provide(Stands.layer)
  )
})
