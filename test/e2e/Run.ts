/** Scenarios on pairs of versions, one after the other, on one stand. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Build from "./Build.ts"
import type { Versions } from "../../src/release/Compatibility.ts"
import type { VeleroVersion } from "./Components.ts"
import * as Components from "./Components.ts"
import type { Given } from "./Given.ts"
import * as Namespace from "./Namespace.ts"
import type { Executables, Pack } from "./Packs.ts"
import { Processes } from "./Processes.ts"
import type { Result } from "./Report.ts"
import * as LeastRights from "./Rights.ts"
import type { Pair, Scenario } from "./Scenario.ts"
import { packsOf } from "./Scenario.ts"
import { Stand } from "./Stand.ts"
import * as Stands from "./Stand.ts"
import * as Terminal from "./Terminal.ts"
import { Verify } from "./Verify.ts"

/** What to run on a pair. */
export interface Step {
  readonly pair: Pair
  readonly scenarios: ReadonlyArray<Scenario>
}

const versionsOf = ({ operator, velero }: Pair): Versions => ({
  velero,
  cloudNativePg: operator,
  barmanCloud: Components.barmanCloud.version,
  kubernetes: Components.kubernetes.version
})

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

const runScenario = Effect.fnUntraced(function* (pair: Pair, { except, expected, name, needs = [], run }: Scenario) {
  const versions = versionsOf(pair)
  const { given } = yield* Stand
  const reason = except?.(pair, given)
  if (reason !== undefined) {
    yield* Terminal.line(`not applicable: ${name}: ${reason}`)
    return { versions, scenario: name, expected, seen: [reason], outcome: "not applicable", millis: 0 } satisfies Result
  }
  const { broken } = yield* Processes
  const failures: Array<string> = []
  const built = yield* Effect.exit(Build.buildAll(needs))
  const whole = Effect.andThen(built, Effect.raceFirst(Effect.provideService(run, Verify, { failures }), broken))
  const { millis, value: exit } = yield* Terminal.during(`run ${name}`, Effect.exit(whole))
  const passed = Exit.isSuccess(exit) && failures.length === 0
  const seen = Exit.isSuccess(exit) ? (passed ? [exit.value] : failures) : [...failures, messageOf(exit.cause)]
  yield* Terminal.line(`${passed ? "ok" : "FAILED"} ${name}, ${Terminal.duration(millis)}`)
  const outcome = passed ? ("passed" as const) : ("failed" as const)
  return { versions, scenario: name, expected, seen, outcome, millis } satisfies Result
})

const startOperator = ({ operator }: Pair) =>
  Terminal.during(
    `start CloudNativePG ${operator}`,
    Stand.use(({ useOperator }) => useOperator(operator))
  )

/** What the CNPG pack may do in the cluster: what `deploy/rbac.yaml` grants, or everything, as the other packs. */
export type Rights = "least" | "all"

/** Velero whose own actions take their user from the environment as well, and need rights that the packs do not. */
const sharesUser: ReadonlyArray<VeleroVersion> = ["1.14.1"]

const startVelero = ({ velero }: Pair, packs: ReadonlyArray<Pack>, rights: Rights) =>
  Terminal.during(
    `start Velero ${velero} with ${packs.join(", ")}`,
    Effect.gen(function* () {
      const { useVelero } = yield* Stand
      const isRestricted = rights === "least" && !sharesUser.includes(velero) && packs.every((pack) => pack === "cnpg")
      const pluginUser = isRestricted ? "restricted" : "admin"
      yield* useVelero({ version: velero, packs, pluginUser })
      yield* LeastRights.grant()
    })
  )

const runStep = Effect.fnUntraced(function* ({ pair, scenarios }: Step, rights: Rights, record: Record) {
  // What scenarios made stays until here: they have namespaces of their own. Another operator's CRDs must not meet it.
  yield* Namespace.removeAll()
  if (scenarios.some((scenario) => packsOf(scenario).includes("cnpg"))) yield* startOperator(pair)
  const results = yield* Effect.forEach(
    // Scenarios that need the same Velero, one after the other.
    Map.groupBy(scenarios, (scenario) => packsOf(scenario).join()).values(),
    Effect.fnUntraced(function* ([first, ...others]) {
      if (first === undefined) return []
      yield* startVelero(pair, packsOf(first), rights)
      return yield* Effect.forEach([first, ...others], (scenario) =>
        Effect.tap(runScenario(pair, scenario), (result) => Effect.sync(() => record(result)))
      )
    })
  )
  return results.flat()
})

/** What is done with each result, as soon as it is there. */
export type Record = (result: Result) => void

/** Runs everything; a scenario that fails does not stop the others. */
export const run = Effect.fn("Run.run")(function* (
  steps: ReadonlyArray<Step>,
  executables: Executables,
  given: Given,
  rights: Rights,
  record: Record
) {
  yield* Build.buildAll(componentsOf(steps.map(({ pair }) => pair)))
  const results = yield* Effect.forEach(steps, (step) => runStep(step, rights, record)).pipe(
    Effect.provide(Stands.layer(executables, given))
  )
  return results.flat()
})

/** Starts a stand with the CNPG pack, prepares something on it, and leaves it to the user until they have enough of it. */
export const keep = Effect.fn("Run.keep")(function* <E, R>(
  pair: Pair,
  executables: Executables,
  rights: Rights,
  prepare: Effect.Effect<string, E, R>
) {
  yield* Build.buildAll(componentsOf([pair]))
  return yield* startOperator(pair).pipe(
    Effect.andThen(startVelero(pair, ["cnpg"], rights)),
    Effect.andThen(prepare),
    Effect.flatMap(Terminal.line),
    Effect.andThen(Effect.never),
    Effect.provide(Stands.layer(executables, { goPlugin: undefined, chart: undefined }))
  )
})
