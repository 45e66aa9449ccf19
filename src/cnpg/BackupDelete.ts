/**
 * `velero-cnpg/backup-delete-plugin`: with a Velero backup go the CNPG Backups that were made for it.
 *
 * Only those: known by the name on the stored Cluster, by their labels, and by the UID that they have when they are deleted. The data in
 * the object store is Barman's, which keeps it for as long as the retention policy says.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Kubernetes } from "../kubernetes/Kubernetes.ts"
import { info, type Note } from "../velero/Action.ts"
import type { Backup } from "../velero/Backup.ts"
import * as DeleteItemAction from "../velero/DeleteItemAction.ts"
import * as View from "../velero/View.ts"
import { annotation, resources } from "./Names.ts"
import type { Made } from "./OnDemandBackup.ts"
import * as OnDemandBackup from "./OnDemandBackup.ts"
import * as OnDemandBackups from "./OnDemandBackups.ts"

/** Nothing else of the Cluster matters, and nothing of it can keep a backup from being deleted. */
const Stored = Schema.Struct({ metadata: View.Metadata })

export interface Facts {
  readonly backup: Backup
  /** The CNPG Backup of the name on the stored Cluster. */
  readonly made: Made | undefined
}

export interface Decision {
  readonly remove: { readonly namespace: string; readonly name: string; readonly uid: string } | undefined
  readonly notes: ReadonlyArray<Note>
}

/** Whether there is something to delete. */
export const transform = ({ metadata }: typeof Stored.Type, { backup, made }: Facts): Decision => {
  const namespace = metadata.namespace ?? ""
  if (made === undefined) return { remove: undefined, notes: [] }
  const title = OnDemandBackup.title({ namespace, name: made.metadata.name })
  const { uid } = made.metadata
  return uid && OnDemandBackup.isMadeFor(backup, namespace, metadata.name, made)
    ? {
        remove: { namespace, name: made.metadata.name, uid },
        notes: [
          info(
            `${title} is deleted with the Velero backup that it was made for; its data is left to Barman's retention`
          )
        ]
      }
    : { remove: undefined, notes: [info(`${title} was not made for this Velero backup, and stays`)] }
}

export const action = DeleteItemAction.make({
  selector: { includedResources: ["clusters.postgresql.cnpg.io"] },
  decode: Stored,
  fetch: Effect.fnUntraced(function* ({ metadata }, { backup }) {
    const name = metadata.annotations?.[annotation.freshBackupName]
    const object = name ? yield* OnDemandBackups.find({ namespace: metadata.namespace ?? "", name }) : Option.none()
    return {
      backup,
      made: Option.getOrUndefined(Option.flatMap(object, OnDemandBackup.decodeMade))
    } satisfies Facts
  }),
  transform: (stored, facts: Facts) => Result.succeed(transform(stored, facts)),
  encode: (_, { notes }) => ({ notes }),
  commit: ({ remove }) =>
    remove === undefined
      ? Effect.void
      : Effect.flatMap(Kubernetes, (kubernetes) =>
          kubernetes.delete(resources.backups, remove.namespace, remove.name, remove.uid)
        ).pipe(Effect.catchTag("NotFound", () => Effect.void))
})
