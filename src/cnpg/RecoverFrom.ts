/**
 * The user's choice of what a restored Cluster gets its data from.
 *
 * `object-store` (default): the operator recovers from the archive, so what it built for the old Cluster is not restored.
 * `volumes`: the restored volumes hold the data, so everything is restored and only the archive's name changes.
 */
import * as Data from "effect/Data"
import * as Result from "effect/Result"
import type { Restore } from "../velero/Restore.ts"
import { annotation } from "./Names.ts"

export const choices = ["object-store", "volumes"] as const
export type RecoverFrom = (typeof choices)[number]

/** A value of the annotation that means nothing. */
export class InvalidRecoverFrom extends Data.TaggedError("InvalidRecoverFrom")<{
  readonly where: string
  readonly value: string
}> {
  override get message() {
    return `annotation ${annotation.recoverFrom} on ${this.where} is ${JSON.stringify(this.value)}; it can be ${choices.join(" or ")}. Correct it and restore again`
  }
}

const read = (where: string, value: string): Result.Result<RecoverFrom, InvalidRecoverFrom> => {
  const choice = choices.find((known) => known === value)
  return choice === undefined ? Result.fail(new InvalidRecoverFrom({ where, value })) : Result.succeed(choice)
}

/** The Restore's word, else the Cluster's, else the object store. `recorded` is the Cluster's annotation, wherever it was kept. */
export const choose = (
  restore: Restore,
  cluster: string,
  recorded: string | undefined
): Result.Result<RecoverFrom, InvalidRecoverFrom> => {
  const wished = restore.metadata?.annotations?.[annotation.recoverFrom]
  if (wished !== undefined) return read(`Restore ${restore.metadata?.name ?? ""}`, wished)
  return recorded === undefined ? Result.succeed("object-store") : read(cluster, recorded)
}
