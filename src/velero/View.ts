/**
 * Parts that views are made of.
 *
 * A view is a schema of the few fields that an action reads; fields that it does not name are ignored. Kubernetes objects are
 * written by Go, which may print an empty field as `null`, so every field that may be missing may be `null` too.
 *
 * @module
 */
import * as Schema from "effect/Schema"

/**
 * A field that may be absent or `null`.
 *
 * @example
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as View from "velero-plugin-cnpg/velero/View"
 *
 * const decode = Schema.decodeUnknownSync(Schema.Struct({ labels: View.optional(View.StringMap) }))
 * decode({}) // => {}
 * decode({ labels: null, other: 1 }) // => { labels: null }
 * decode({ labels: { app: "web" } }).labels?.["app"] // => "web"
 * ```
 */
export const optional = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/** Labels, annotations, ConfigMap data. */
export const StringMap = Schema.Record(Schema.String, Schema.String)

/** @see https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#OwnerReference */
export const OwnerReference = Schema.Struct({
  apiVersion: Schema.String,
  kind: Schema.String,
  name: Schema.String,
  uid: Schema.String,
  controller: optional(Schema.Boolean)
})
export type OwnerReference = typeof OwnerReference.Type

/** @see https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#ObjectMeta */
export const Metadata = Schema.Struct({
  name: Schema.String,
  namespace: optional(Schema.String),
  uid: optional(Schema.String),
  labels: optional(StringMap),
  annotations: optional(StringMap),
  ownerReferences: optional(Schema.Array(OwnerReference)),
  creationTimestamp: optional(Schema.String)
})
export type Metadata = typeof Metadata.Type
