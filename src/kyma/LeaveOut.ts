/** Leaves items out by a label: what three of Kyma's actions do, each with its own selector and its own label. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import type { ResourceSelector } from "../velero/Resources.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"

/** The item has no metadata, or none of the right type; the first words are the Go originals'. */
export class InaccessibleMetadata extends Data.TaggedError("InaccessibleMetadata")<{ readonly detail: string }> {
  override get message() {
    return `accessing item metadata: ${this.detail}`
  }
}

/** Metadata is for the transform step to access, which has words of its own for a failure. */
const AnyItem = Schema.Struct({ metadata: Schema.optionalKey(Schema.Unknown) })

const decodeMetadata = Schema.decodeUnknownResult(View.Metadata)

/** Which items to leave out. */
export interface Rule {
  readonly selector: ResourceSelector
  readonly matches: (labelKey: string, labelValue: string) => boolean
  /** Whether the log says for which label an item was left out. */
  readonly namesLabel: boolean
}

/** The label, `key:value`, that an item is left out for; none where it is restored. */
export interface Decision {
  readonly label: string | undefined
}

/** Whether an item is left out. */
export const transform = (
  matches: Rule["matches"],
  { metadata }: typeof AnyItem.Type
): Result.Result<Decision, InaccessibleMetadata> =>
  decodeMetadata(metadata).pipe(
    Result.mapError(({ message }) => new InaccessibleMetadata({ detail: message.replace(/\s*\n\s*/g, " ") })),
    Result.map(({ labels }) => ({
      label: Object.entries(labels ?? {})
        .find(([key, value]) => matches(key, value))
        ?.join(":")
    }))
  )

/** An action of one rule. The item itself never changes. */
export const make = ({ matches, namesLabel, selector }: Rule) =>
  RestoreItemAction.make({
    selector,
    decode: AnyItem,
    fetch: () => Effect.void,
    transform: (item) => transform(matches, item),
    encode: (item, { label }: Decision) => {
      const { groupKind, name, namespace } = Item.identity(item)
      const described = `${groupKind} ${namespace}/${name}`
      const reason = namesLabel ? ` as it had label ${label}` : ""
      return label === undefined
        ? { item, notes: [info(`Restoring ${described}`)] }
        : { item, skip: true, notes: [info(`Ignoring restore of ${described}${reason}`)] }
    }
  })
