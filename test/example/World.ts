/** Whole actions with what they log, on plugin configuration and Kubernetes in memory. */
import * as Effect from "effect/Effect"
import * as Actions from "../../src/testing/Actions.ts"
import type { BackupItemAction } from "../../src/velero/BackupItemAction.ts"
import type { DeleteItemAction } from "../../src/velero/DeleteItemAction.ts"
import type { ItemBlockAction } from "../../src/velero/ItemBlockAction.ts"
import type { RestoreItemAction } from "../../src/velero/RestoreItemAction.ts"

export const { backup: nightly, plugin } = Actions
export type { Line } from "../../src/testing/Actions.ts"

/** As Velero sees it, with the log beside it. */
export const backUp = (
  action: BackupItemAction<never>,
  item: string,
  world: Parameters<typeof Actions.backUp>[2] = {}
) => Effect.map(Actions.backUp(action, item, world), (outcome) => ({ ...outcome, text: outcome.item.text }))

export const restore = (action: RestoreItemAction<never>, item: string) =>
  Effect.map(Actions.restore(action, item), (outcome) => ({ ...outcome, text: outcome.item.text }))

export const remove = (action: DeleteItemAction<never>, item: string) =>
  Effect.map(Actions.remove(action, item), ({ lines }) => lines)

export const relatedTo = (action: ItemBlockAction<never>, item: string) =>
  Effect.map(Actions.relatedTo(action, item), ({ relatedItems }) => relatedItems)

/** An item in one line, spelled as nothing would print it again; `metadata` and `rest` are members of JSON text. */
export const odd = (kind: string, metadata = "", rest = ""): string =>
  ` {"zz":1.0,"kind":"${kind}",  "metadata":{"generation":9007199254740993,"name":"one","namespace":"shop"${metadata}}${rest},"\\u0061":1e400}\n`
