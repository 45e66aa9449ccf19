/**
 * The Velero Restore that an action works for, as far as actions read it.
 *
 * @see https://pkg.go.dev/github.com/vmware-tanzu/velero/pkg/apis/velero/v1#Restore
 *
 * @module
 */
import * as Schema from "effect/Schema"
import * as View from "./View.ts"

const Metadata = Schema.Struct({
  name: View.optional(Schema.String),
  namespace: View.optional(Schema.String),
  uid: View.optional(Schema.String),
  creationTimestamp: View.optional(Schema.String),
  labels: View.optional(View.StringMap),
  annotations: View.optional(View.StringMap)
})

/** Schema of the fields that actions read; all of them may be missing. */
export const Restore = Schema.Struct({
  metadata: View.optional(Metadata),
  spec: View.optional(
    Schema.Struct({
      backupName: View.optional(Schema.String),
      namespaceMapping: View.optional(View.StringMap),
      existingResourcePolicy: View.optional(Schema.String),
      /** The resources whose status is restored; present where the user asked for any (`--status-include-resources`). */
      restoreStatus: View.optional(Schema.Unknown)
    })
  ),
  status: View.optional(
    Schema.Struct({ phase: View.optional(Schema.String), startTimestamp: View.optional(Schema.String) })
  )
})
/** A Velero Restore. */
export interface Restore extends Schema.Schema.Type<typeof Restore> {}

/** What tells one Restore from another in caches: its UID, or its name where a test host gives none. */
export const key = ({ metadata }: Restore): string =>
  metadata?.uid || `${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`

/** `namespace/name`, as Velero logs it. */
export const describe = ({ metadata }: Restore): string => `${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`

/**
 * The namespace that an item of `namespace` will land in.
 *
 * **Gotchas**: Velero maps namespaces *after* the actions ran, so an item and its `itemFromBackup` still carry the original.
 *
 * @example
 * ```ts
 * import * as Restore from "velero-plugin-cnpg/velero/Restore"
 *
 * const restore = { spec: { namespaceMapping: { shop: "shop-restored" } } }
 * Restore.targetNamespace(restore, "shop") // => "shop-restored"
 * Restore.targetNamespace(restore, "other") // => "other"
 * ```
 */
export const targetNamespace = (restore: Restore, namespace: string): string => {
  const mapping = restore.spec?.namespaceMapping
  return (mapping && Object.hasOwn(mapping, namespace) ? mapping[namespace] : undefined) || namespace
}
