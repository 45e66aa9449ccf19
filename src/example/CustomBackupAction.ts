/**
 * `example.com/custom-backup-action`: stamps ConfigMaps and Secrets on their way into a backup.
 *
 * The smallest action that changes what is stored. The object in the cluster is never touched.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note } from "../velero/Action.ts"
import * as BackupItemAction from "../velero/BackupItemAction.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as View from "../velero/View.ts"

const processed = "backup.example.com/processed"
const timestamp = "backup.example.com/timestamp"

/** The view: all that the action reads of an item. What it does not name is not read, and comes back byte for byte. */
const ConfigMapOrSecret = Schema.Struct({ metadata: View.Metadata })

/** What the action has to know beside the item. */
interface Facts {
  /** When the Velero Backup was created, in RFC 3339. */
  readonly createdAt: string | undefined
}

interface Decision {
  readonly patches: ReadonlyArray<Patch>
  readonly notes: ReadonlyArray<Note>
}

/** The domain, as a pure function: it is tested with plain values. */
export const transform = ({ metadata }: typeof ConfigMapOrSecret.Type, { createdAt }: Facts): Decision => {
  const executing = info("Executing custom backup action")
  // An action may see an item again: in a later backup, after a restore, while a backup finalizes.
  if (metadata.annotations?.[processed] === "true") {
    return { patches: [], notes: [executing, info("Already processed, skipping")] }
  }
  return {
    patches: [
      Json.set(["metadata", "annotations", processed], "true"),
      ...(createdAt === undefined ? [] : [Json.set(["metadata", "annotations", timestamp], createdAt)])
    ],
    notes: [executing]
  }
}

export const action = BackupItemAction.make({
  selector: { includedResources: ["configmaps", "secrets"] },
  decode: ConfigMapOrSecret,
  fetch: (_, { backup }) => Effect.succeed({ createdAt: backup.metadata?.creationTimestamp ?? undefined }),
  transform: (view, facts: Facts) => Result.succeed(transform(view, facts)),
  // Without a patch the item goes back as the very bytes that came.
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
