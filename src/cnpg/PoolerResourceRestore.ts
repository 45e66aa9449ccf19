/**
 * `velero-cnpg/pooler-resource-restore-plugin`: leaves out what the operator built for a Pooler.
 *
 * Restored, such an object has lost its owner, and the operator refuses for ever to manage the Pooler ("invalid ownership for
 * managed resources"); left out, it is back within seconds. A ServiceAccount it would use, and leave behind when the Pooler goes.
 * Roles, RoleBindings and ServiceAccounts bear no label, so the owner in the backed-up item decides.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/controller/pooler_controller.go (ensureManagedResourcesAreOwned)
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note } from "../velero/Action.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"
import { isCnpgOwner } from "./Recoveries.ts"

const Managed = Schema.Struct({ kind: Schema.String, metadata: View.Metadata })
type Managed = typeof Managed.Type

const decodeManaged = Schema.decodeUnknownOption(Managed)

export interface Decision {
  readonly skip: boolean
  readonly notes: ReadonlyArray<Note>
}

/** Whether to restore an object whose backed-up owner is `pooler` (none: not a Pooler's). */
export const transform = ({ kind, metadata }: Managed, pooler: string | undefined): Decision =>
  pooler === undefined
    ? { skip: false, notes: [] }
    : {
        skip: true,
        notes: [
          info(
            `${kind} ${metadata.namespace ?? ""}/${metadata.name} is not restored: the operator makes it anew for Pooler ${pooler}`
          )
        ]
      }

export const action = RestoreItemAction.make({
  selector: {
    includedResources: [
      "deployments.apps",
      "services",
      "roles.rbac.authorization.k8s.io",
      "rolebindings.rbac.authorization.k8s.io",
      "serviceaccounts"
    ]
  },
  decode: Managed,
  fetch: (_, { itemFromBackup }) =>
    Effect.succeed(
      Option.flatMapNullishOr(decodeManaged(itemFromBackup.tree), ({ metadata }) =>
        metadata.ownerReferences?.find((reference) => isCnpgOwner(reference, "Pooler"))
      ).pipe(
        Option.map(({ name }) => name),
        Option.getOrUndefined
      )
    ),
  transform: (managed, pooler) => Result.succeed(transform(managed, pooler)),
  encode: (item, { notes, skip }) => ({ item, skip, notes })
})
