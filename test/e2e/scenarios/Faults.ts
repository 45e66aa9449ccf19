/** What goes wrong at night: the API server does not answer the plugin, the plugin is killed. Nothing hangs, and the next one is fine. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Namespace from "../Namespace.ts"
import * as Objects from "../Objects.ts"
import { until, untilTrue } from "../Poll.ts"
import { Processes } from "../Processes.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

/** Runs an effect while the plugin's calls to the API server get no answer. */
const unanswered = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Stand, ({ link }) => Effect.andThen(link.hang, effect).pipe(Effect.ensuring(link.flow)))

export const apiStops: Scenario = {
  name: "api-stops",
  expected:
    "while the API server does not answer: the backup completes with warnings, a restore fails whole; then all is well",
  run: Effect.gen(function* () {
    const { api, velero } = yield* Stand
    const place = { namespace: "api-stops", name: Shop.cluster }
    const { namespace } = place
    yield* Shop.create(namespace)
    const warned = yield* unanswered(Velero.backUp([namespace]))
    yield* Verify.equal("the Velero backup", Velero.outcome(warned), "Completed")
    const description = yield* velero("backup", "describe", warned.metadata.name)
    yield* Verify.that(
      "its warnings say that the API server cannot be reached",
      /Warnings:[^]*Kubernetes API server cannot be reached/.test(description),
      description
    )
    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the warnings of the next backup", backup.status?.warnings ?? 0, 0)

    yield* Namespace.remove(namespace)
    const failed = yield* unanswered(Velero.restore(backup))
    yield* Verify.equal("the Velero restore", Velero.outcome(failed), "PartiallyFailed, 1 errors")
    yield* Verify.equal("the Cluster", yield* api.find(Objects.clusters, namespace, place.name), undefined)
    const configMap = yield* api.find(Objects.configMaps, namespace, "cnpg-velero-override")
    yield* Verify.equal("the ConfigMap", configMap, undefined)

    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the next Velero restore", Velero.outcome(restore), "Completed")
    const destination = yield* Recovery.verify(place, Shop.source)
    return `the backup is Completed with ${warned.status?.warnings} warnings, the restore fails with one error and writes nothing; the next ones recover under ${destination}`
  })
}

/** The processes of the plugin under test that run on this stand. */
const pluginProcesses = Effect.map(Processes, ({ directory }) =>
  Fs.readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const file = Fs.readlinkSync(`/proc/${pid}/exe`)
        return file.startsWith(directory) && Path.basename(file).startsWith("velero-plugin-cnpg")
      } catch {
        return false
      }
    })
    .map(Number)
)

export const pluginKilled: Scenario = {
  name: "plugin-killed",
  expected:
    "the plugin is killed at work: the backup ends as PartiallyFailed, names the item, and the next one is fine",
  run: Effect.gen(function* () {
    const { link, velero } = yield* Stand
    const namespace = "plugin-killed"
    yield* Shop.create(namespace)
    const kill = Effect.gen(function* () {
      const running = yield* Effect.forkChild(Velero.backUp([namespace]))
      // Whatever it waits for, it is at work.
      yield* untilTrue(
        "the plugin asks the API server",
        "60 seconds",
        Effect.map(link.waiting, (count) => count > 0)
      )
      const pids = yield* until(
        "the plugin runs",
        "10 seconds",
        Effect.map(pluginProcesses, (found) => (found.length === 0 ? undefined : found))
      )
      for (const pid of pids) process.kill(pid, "SIGKILL")
      yield* link.flow
      return { killed: pids.length, backup: yield* Fiber.join(running) }
    })
    const { backup, killed } = yield* unanswered(kill)
    yield* Verify.equal("the Velero backup's phase", backup.status?.phase, "PartiallyFailed")
    const description = yield* velero("backup", "describe", backup.metadata.name)
    yield* Verify.that("it names what was not backed up", /Errors:[^]*orders/.test(description), description)
    const next = yield* Velero.backUp([namespace])
    yield* Verify.equal("the next Velero backup", Velero.outcome(next), "Completed")
    yield* Verify.equal("its warnings", next.status?.warnings ?? 0, 0)
    yield* Namespace.remove(namespace)
    yield* Velero.restore(next)
    yield* Recovery.verify({ namespace, name: Shop.cluster }, Shop.source)
    return `killed ${killed} process; ${Velero.outcome(backup)}; the next one is Completed and recovers`
  })
}
