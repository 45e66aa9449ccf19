/**
 * `velero-cnpg/pooler-pod-restore-plugin`: leaves out the ReplicaSets and Pods of a Pooler's Deployment.
 *
 * Restored, the Deployment that the operator makes anew adopts them by their labels. The operator writes the namespace into the
 * Pod's spec, so after a restore into another namespace those Pods would ask for the Pooler in the old one.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/pkg/specs/pgbouncer/deployments.go (NAMESPACE)
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"
import { label } from "./Names.ts"
import * as PoolerResourceRestore from "./PoolerResourceRestore.ts"

const Derived = Schema.Struct({ kind: Schema.String, metadata: View.Metadata })
type Derived = typeof Derived.Type

const decodeDerived = Schema.decodeUnknownOption(Derived)

/** Through what a Pooler owns them. */
const between = ["Deployment", "ReplicaSet"]

/** The Pooler that an object comes of; none where no controller made it. */
const poolerOf = ({ metadata }: Derived): string | undefined =>
  metadata.ownerReferences?.some(({ kind }) => between.includes(kind ?? ""))
    ? metadata.labels?.[label.pooler] || undefined
    : undefined

export const action = RestoreItemAction.make({
  selector: { includedResources: ["replicasets.apps", "pods"], labelSelector: label.pooler },
  decode: Derived,
  fetch: (_, { itemFromBackup }) =>
    Effect.succeed(Option.getOrUndefined(Option.flatMapNullishOr(decodeDerived(itemFromBackup.tree), poolerOf))),
  transform: (derived, pooler) => Result.succeed(PoolerResourceRestore.transform(derived, pooler)),
  encode: (item, { notes, skip }) => ({ item, skip, notes })
})
