/**
 * A regression guard: ratios to the Go peer in one short run, against limits with generous slack.
 *
 * The limits are about twice what was reached (`docs/performance.md`): they catch what loads a library before the handshake, reads an
 * item twice or lists without pages, and let a busy machine pass.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Terminal from "../test/e2e/Terminal.ts"
import type { Row } from "./Rows.ts"
import { ratio } from "./Rows.ts"

/** What a short run takes. */
export const measures = ["start", "execute", "memory", "cluster"] as const

/** Greatest ratio to the peer, by row. */
export const limits: Readonly<Record<string, number>> = {
  "start to handshake, p50": 1.5,
  "start to ListPlugins answer, p50": 1.6,
  "resident after ListPlugins": 1.6,
  "Execute 4 KiB unchanged, p50": 1.8,
  "Execute 4 KiB changed, p50": 1.8,
  "Execute 64 KiB changed, p50": 0.9,
  "Execute 1 MiB changed, p50": 0.9,
  "resident after 10000 Executes": 4,
  "Cluster Execute beside 1000 Backups": 0.7,
  "Cluster Execute beside 10000 Backups": 0.5
}

/** A ratio is beyond its limit. */
export class TooSlow extends Data.TaggedError("TooSlow")<{ readonly message: string }> {}

/** A row of the limits, and what became of it; none was measured where there is no ratio. */
export interface Verdict {
  readonly label: string
  readonly limit: number
  readonly of: number | undefined
  readonly passed: boolean
}

export const verdicts = (rows: ReadonlyArray<Row>, candidate: string, peer: string): ReadonlyArray<Verdict> =>
  Object.entries(limits).map(([label, limit]) => {
    const row = rows.find((one) => one.label === label)
    const of = row === undefined ? undefined : ratio(row, candidate, peer)
    return { label, limit, of, passed: of !== undefined && of <= limit }
  })

/** Prints the verdicts; the last line is as CI counts it. */
export const judge = Effect.fnUntraced(function* (rows: ReadonlyArray<Row>, candidate: string, peer: string) {
  const all = verdicts(rows, candidate, peer)
  for (const { label, limit, of, passed } of all) {
    yield* Terminal.line(
      `${passed ? "ok    " : "FAILED"} ${label}: ${of?.toFixed(2) ?? "not measured"} (limit ${limit})`
    )
  }
  const failed = all.filter(({ passed }) => !passed)
  yield* Terminal.line(`${all.length - failed.length} passed, ${failed.length} failed`)
  if (failed.length > 0) return yield* new TooSlow({ message: "slower than it was; npm run bench tells more" })
})
