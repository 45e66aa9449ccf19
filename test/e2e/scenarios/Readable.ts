/** What people read the next morning: `velero backup describe --details` and the logs of backup and restore. */
import * as Effect from "effect/Effect"
import { archived, createCluster } from "../Cluster.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespace = "readable"

/** A line of the pack's in Velero's log. */
interface Line {
  readonly level: string
  readonly message: string
  /** The kind and name of the item. */
  readonly item: string
}

/** A value of a logfmt line, quoted as Go quotes. */
const value = (line: string, key: string): string => {
  const found = new RegExp(`(?:^| )${key}=("(?:[^"\\\\]|\\\\.)*"|\\S*)`).exec(line)?.[1] ?? ""
  return found.startsWith('"') ? (JSON.parse(found) as string) : found
}

const linesOf = (log: string): ReadonlyArray<Line> =>
  log
    .split("\n")
    .filter((line) => value(line, "pluginName") === "velero-plugin-cnpg")
    .map((line) => ({
      level: value(line, "level"),
      message: value(line, "msg"),
      item: `${value(line, "resource")} ${value(line, "name")}`
    }))

/** What no line for people has: a verb of `fmt`, JSON, a value that was not there, a stack. */
const unreadable = /%[a-z]|\{"|\[object|undefined|\bnull\b|\n\s+at /

const verifyLines = Effect.fnUntraced(function* (what: string, lines: ReadonlyArray<Line>) {
  yield* Verify.that(`${what} has lines of the pack`, lines.length > 0)
  yield* Verify.equal(
    `what nobody can read in ${what}`,
    lines.filter(({ message }) => unreadable.test(message)).map(({ message }) => message),
    []
  )
  const decisions = lines.map(({ item, message }) => `${item}: ${message}`)
  yield* Verify.equal(
    `what ${what} says twice`,
    decisions.filter((decision, index) => decisions.indexOf(decision) !== index),
    []
  )
})

const verifySays = (where: string, text: string, patterns: ReadonlyArray<RegExp>) =>
  Effect.forEach(patterns, (pattern) => Verify.that(`${where} says ${pattern.source}`, pattern.test(text), text))

export const readable: Scenario = {
  name: "readable",
  expected: "logs have one line for each decision, no JSON, no literal %s; describe has the backup's warnings",
  run: Effect.gen(function* () {
    const { velero } = yield* Stand
    yield* Shop.create(namespace)
    yield* createCluster({ namespace, name: "never-backed-up" }, archived("audit", "audit-v1"))
    yield* createCluster({ namespace, name: "without-archive" }, { instances: 1, storage: { size: "1Gi" } })
    const backup = yield* Velero.backUp([namespace])
    const { name } = backup.metadata
    const backupLines = linesOf(yield* velero("backup", "logs", name))
    yield* verifyLines("the backup's log", backupLines)
    const clusters = backupLines.filter(({ item }) => item.startsWith("Cluster"))
    yield* Verify.equal(
      "the levels of what it says of Clusters",
      Object.fromEntries(clusters.map(({ item, level }) => [item.split(" ")[1], level])),
      { orders: "info", "never-backed-up": "warning", "without-archive": "info" }
    )
    yield* verifySays("velero backup describe", yield* velero("backup", "describe", name, "--details"), [
      /Warnings:[^]*Cluster readable\/never-backed-up/
    ])

    const restore = yield* Velero.restore(backup, Velero.mapping({ [namespace]: "readable-2" }))
    const restoreLines = linesOf(yield* velero("restore", "logs", restore.metadata.name))
    yield* verifyLines("the restore's log", restoreLines)
    yield* verifySays("the restore's log", restoreLines.map(({ message }) => message).join("\n"), [
      /Cluster readable\/orders recovers in namespace readable-2 from server name orders-v1, backup 20261104T020001, and archives under orders-/,
      /Secret readable\/orders-app: .* now name the database in namespace readable-2/,
      /PersistentVolumeClaim readable\/orders-1 is not restored/,
      /Backup readable\/orders-newest is not restored/
    ])
    // On top of itself. Of a restore Velero counts no plugin's warnings: they are in the log alone.
    const again = yield* Velero.restore(backup)
    const againLines = linesOf(yield* velero("restore", "logs", again.metadata.name))
    yield* verifyLines("the log of the restore on top", againLines)
    yield* verifySays(
      "the log of the restore on top, as a warning,",
      againLines.flatMap(({ level, message }) => (level === "warning" ? [message] : [])).join("\n"),
      [/Cluster readable\/orders exists: it keeps/]
    )
    return `${backupLines.length} lines of a backup, ${restoreLines.length} of a restore; each decision once`
  })
}
