/**
 * `example.com/custom-item-block-action`: backs the ConfigMaps and Secrets that a Pod mounts up together with it.
 *
 * Velero backs the items of a block up one after another, between the hooks of all its Pods: what the Pod reads is not changed
 * while it is stopped. An item that the backup's label selector does not match is in the backup by this; one that does not exist is
 * a warning, and one that the backup excludes is left out.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as ItemBlockAction from "../velero/ItemBlockAction.ts"
import type { ResourceIdentifier } from "../velero/Resources.ts"
import * as View from "../velero/View.ts"

const Volume = Schema.Struct({
  configMap: View.optional(Schema.Struct({ name: View.optional(Schema.String) })),
  secret: View.optional(Schema.Struct({ secretName: View.optional(Schema.String) }))
})

const Pod = Schema.Struct({
  metadata: View.Metadata,
  spec: View.optional(Schema.Struct({ volumes: View.optional(Schema.Array(Volume)) }))
})

/** Each object once, in the order of the volumes. */
export const transform = ({ metadata, spec }: typeof Pod.Type): ReadonlyArray<ResourceIdentifier> => {
  const mounted = (spec?.volumes ?? []).flatMap(({ configMap, secret }) => [
    ...(configMap?.name ? [{ resource: "configmaps", name: configMap.name }] : []),
    ...(secret?.secretName ? [{ resource: "secrets", name: secret.secretName }] : [])
  ])
  const isFirst = ({ name, resource }: (typeof mounted)[number], index: number) =>
    mounted.findIndex((other) => other.name === name && other.resource === resource) === index
  return mounted
    .filter(isFirst)
    .map(({ name, resource }) => ({ group: "", resource, namespace: metadata.namespace ?? "", name }))
}

export const action = ItemBlockAction.make({
  selector: { includedResources: ["pods"] },
  decode: Pod,
  fetch: () => Effect.void,
  transform: (pod) => Result.succeed(transform(pod)),
  encode: (_, relatedItems) => ({ relatedItems })
})
