/**
 * `velero-cnpg/declarative-object-restore-plugin`: Databases, Publications, Subscriptions and DatabaseRoles come back as the user
 * declared them, not as an instance of the old life left them.
 *
 * Their finalizers are released by an instance, or by the operator when their Cluster is deleted. Restored before there is either,
 * an object could not be deleted, and no namespace that holds it. The instance of the new life adds the finalizer itself when it
 * applies the object. A status that says that the current generation was applied would keep it from doing so.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/management/controller/database_controller.go
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/controller/finalizers_delete.go
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import type { Restore } from "../velero/Restore.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"
import { restoreStatus } from "./Names.ts"

const Declared = Schema.Struct({
  kind: Schema.String,
  metadata: Schema.Struct({ ...View.Metadata.fields, finalizers: View.optional(Schema.Array(Schema.String)) })
})
type Declared = typeof Declared.Type

/** @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/pkg/utils/finalizers.go */
const instanceFinalizers = [
  "cnpg.io/deleteDatabase",
  "cnpg.io/deletePublication",
  "cnpg.io/deleteSubscription",
  "cnpg.io/deleteRole"
]

export interface Decision {
  readonly patches: ReadonlyArray<Patch>
  readonly notes: ReadonlyArray<Note>
}

/** Without the finalizers of an instance. Policy `update` would take them from an object that lives, so there they stay. */
const withoutFinalizers = ({ metadata }: Declared, { spec }: Restore): ReadonlyArray<Patch> => {
  const finalizers = metadata.finalizers ?? []
  const others = finalizers.filter((finalizer) => !instanceFinalizers.includes(finalizer))
  if (others.length === finalizers.length || spec?.existingResourcePolicy === "update") return []
  const path = ["metadata", "finalizers"]
  return [others.length === 0 ? Json.remove(path) : Json.set(path, others)]
}

/** What to change of an object that an instance applies. */
export const transform = (declared: Declared, restore: Restore): Decision => {
  const { kind, metadata } = declared
  const isStatusAsked = Boolean(restore.spec?.restoreStatus) || metadata.annotations?.[restoreStatus] !== undefined
  const name = `${kind} ${metadata.namespace ?? ""}/${metadata.name}`
  return {
    patches: [
      ...withoutFinalizers(declared, restore),
      ...(isStatusAsked ? [Json.set(["metadata", "annotations", restoreStatus], "false")] : [])
    ],
    notes: isStatusAsked
      ? [info(`${name}: its status is not restored, or the new database would be taken for one that it was applied to`)]
      : []
  }
}

export const action = RestoreItemAction.make({
  selector: {
    includedResources: [
      "databases.postgresql.cnpg.io",
      "publications.postgresql.cnpg.io",
      "subscriptions.postgresql.cnpg.io",
      "databaseroles.postgresql.cnpg.io"
    ]
  },
  decode: Declared,
  fetch: (_, { restore }) => Effect.succeed(restore),
  transform: (declared, restore: Restore) => Result.succeed(transform(declared, restore)),
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
