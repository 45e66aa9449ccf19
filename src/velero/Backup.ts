/**
 * The Velero Backup that an action works for, as far as actions read it.
 *
 * @see https://pkg.go.dev/github.com/vmware-tanzu/velero/pkg/apis/velero/v1#Backup
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
export const Backup = Schema.Struct({
  metadata: View.optional(Metadata),
  spec: View.optional(
    Schema.Struct({
      includedNamespaces: View.optional(Schema.Array(Schema.String)),
      excludedNamespaces: View.optional(Schema.Array(Schema.String)),
      includedResources: View.optional(Schema.Array(Schema.String)),
      excludedResources: View.optional(Schema.Array(Schema.String)),
      includedNamespaceScopedResources: View.optional(Schema.Array(Schema.String)),
      excludedNamespaceScopedResources: View.optional(Schema.Array(Schema.String)),
      /** Present where only labelled objects are backed up; what it asks for Velero knows. */
      labelSelector: View.optional(Schema.Unknown),
      orLabelSelectors: View.optional(Schema.Array(Schema.Unknown))
    })
  ),
  status: View.optional(Schema.Struct({ phase: View.optional(Schema.String) }))
})
/** A Velero Backup. */
export interface Backup extends Schema.Schema.Type<typeof Backup> {}

/** What tells one Backup from another in caches: its UID, or its name where a test host gives none. */
export const key = ({ metadata }: Backup): string =>
  metadata?.uid || `${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`

/** `namespace/name`, as Velero logs it. */
export const describe = ({ metadata }: Backup): string => `${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`

/**
 * Whether Velero runs the actions a second time, on `postOperationItems`; no new operation may start then.
 *
 * @example
 * ```ts
 * import * as Backup from "velero-plugin-cnpg/velero/Backup"
 *
 * Backup.isFinalizing({ status: { phase: "InProgress" } }) // => false
 * Backup.isFinalizing({ status: { phase: "FinalizingPartiallyFailed" } }) // => true
 * ```
 */
export const isFinalizing = ({ status }: Backup): boolean =>
  status?.phase === "Finalizing" || status?.phase === "FinalizingPartiallyFailed"
