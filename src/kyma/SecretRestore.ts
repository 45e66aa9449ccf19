/**
 * `kyma-project.io/secrets-restore-plugin`: gives a Secret back to the ServiceBinding that it belongs to.
 *
 * Velero takes owners off everything that it restores. A Secret of a binding's name is taken for that binding's: both names
 * are equal where Kyma's console made them, and a Secret that no binding of its name is found for stays as it is.
 *
 * **Against the Go original**: the log names the Secret, where Go printed the whole of it, its data included. And the binding is
 * looked up in the namespace that the Secret is restored to, where Go looked in the one that it comes from: that is another one
 * where namespaces are mapped, and Kubernetes deletes what has its owner in another namespace.
 *
 * @see https://github.com/vmware-tanzu/velero/issues/965 (why the names have to do)
 * @see https://github.com/kyma-project/kyma/pull/8261 (which removed the Go original, `SetOwnerReference`)
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Kubernetes, type NoCluster, type Resource } from "../kubernetes/Kubernetes.ts"
import { info, type Note } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as Restore from "../velero/Restore.ts"
import * as View from "../velero/View.ts"

/** Nothing tells where the cluster with the bindings is; the first words are the Go original's. */
export class NoServiceCatalog extends Data.TaggedError("NoServiceCatalog")<{ readonly cause: NoCluster }> {
  override get message() {
    return `while creating ServiceCatalog client: ${this.cause.message}`
  }
}

/** The API server answered with something that is no ServiceBinding. */
export class UnreadableServiceBinding extends Data.TaggedError("UnreadableServiceBinding")<{
  readonly binding: string
  readonly detail: string
}> {
  override get message() {
    return `ServiceBinding ${this.binding} cannot be read: ${this.detail}. Correct or delete it, and restore again`
  }
}

/** @see https://github.com/kubernetes-sigs/service-catalog/blob/v0.3.0/pkg/apis/servicecatalog/v1beta1/types.go */
const serviceBindings: Resource = {
  group: "servicecatalog.k8s.io",
  version: "v1beta1",
  resource: "servicebindings",
  kind: "ServiceBinding",
  namespaced: true
}

const Secret = Schema.Struct({ kind: Schema.String, metadata: View.Metadata })

const decodeBinding = Schema.decodeUnknownEffect(
  Schema.Struct({ metadata: Schema.Struct({ name: Schema.String, uid: Schema.String }) })
)

/** The binding of a Secret's name, or the API server's words for that there is none. */
export type Facts =
  | { readonly _tag: "Bound"; readonly name: string; readonly uid: string }
  | { readonly _tag: "Unbound"; readonly detail: string }

export interface Decision {
  readonly patches: ReadonlyArray<Patch>
  readonly note: Note
}

const fetch = Effect.fnUntraced(function* (
  { metadata }: typeof Secret.Type,
  { restore }: { readonly restore: Restore.Restore }
) {
  const kubernetes = yield* Kubernetes
  const namespace = Restore.targetNamespace(restore, metadata.namespace ?? "")
  return yield* kubernetes.get(serviceBindings, namespace, metadata.name).pipe(
    Effect.flatMap((object) =>
      Effect.mapError(
        decodeBinding(object),
        ({ message }) =>
          new UnreadableServiceBinding({
            binding: `${namespace}/${metadata.name}`,
            detail: message.replace(/\s*\n\s*/g, " ")
          })
      )
    ),
    Effect.map((binding): Facts => ({ _tag: "Bound", ...binding.metadata })),
    Effect.catchTags({
      NotFound: ({ detail }) => Effect.succeed<Facts>({ _tag: "Unbound", detail }),
      NoCluster: (cause) => Effect.fail(new NoServiceCatalog({ cause }))
    })
  )
})

/** The binding becomes the only owner, as `metav1.NewControllerRef` makes one. */
export const transform = ({ kind, metadata }: typeof Secret.Type, facts: Facts): Decision =>
  facts._tag === "Unbound"
    ? { patches: [], note: info(`Couldn't get SB ${metadata.name}: ${facts.detail}`) }
    : {
        patches: [
          Json.set(
            ["metadata", "ownerReferences"],
            [
              {
                apiVersion: `${serviceBindings.group}/${serviceBindings.version}`,
                blockOwnerDeletion: true,
                controller: true,
                kind: serviceBindings.kind,
                name: facts.name,
                uid: facts.uid
              }
            ]
          )
        ],
        note: info(`Setting owner reference for ${kind} ${metadata.name} in namespace ${metadata.namespace ?? ""}`)
      }

export const action = RestoreItemAction.make({
  selector: { includedResources: ["secret"] },
  decode: Secret,
  fetch,
  transform: (secret, facts: Facts) => Result.succeed(transform(secret, facts)),
  encode: (item, { note, patches }) => ({ item: Item.patch(item, patches), notes: [note] })
})
