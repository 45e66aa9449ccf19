/** What the operator's webhooks say of a Cluster: asked of the API server, without creating it. */
import * as Effect from "effect/Effect"
import { apiVersionOf } from "./Api.ts"
import * as Objects from "./Objects.ts"
import { Stand } from "./Stand.ts"
import * as Verify from "./Verify.ts"

/** A Cluster as one would write it. */
export interface Draft {
  readonly metadata: { readonly name: string; readonly annotations?: Objects.Strings }
  readonly spec: unknown
}

/** Why a Cluster would not be created; `undefined`: it would. */
export const refusal = Effect.fn("Admission.refusal")(function* (namespace: string, { metadata, spec }: Draft) {
  const { api } = yield* Stand
  const { kind, plural } = Objects.clusters
  const apiVersion = apiVersionOf(Objects.clusters)
  return yield* api
    .request("POST", `/apis/${apiVersion}/namespaces/${namespace}/${plural}?dryRun=All`, {
      apiVersion,
      kind,
      metadata: { ...metadata, namespace },
      spec
    })
    .pipe(
      Effect.as(undefined),
      Effect.catchIf(
        ({ status }) => status >= 400 && status < 500,
        ({ detail }) => Effect.succeed(detail)
      )
    )
})

/** The name of a webhook is in every refusal of its. */
export const webhook = "vcluster.cnpg.io"

/** The webhooks accept a Cluster that Velero created, and would have refused a wrong one. */
export const verify = Effect.fn("Admission.verify")(function* (namespace: string, name: string) {
  const { api } = yield* Stand
  const { metadata, spec } = yield* api.get(Objects.clusters, namespace, name)
  const draft: Draft = { metadata: { name: "dry-run", annotations: metadata.annotations ?? {} }, spec }
  yield* Verify.equal(`what the webhooks say against Cluster ${name}`, yield* refusal(namespace, draft), undefined)
  const wrong = { ...spec, bootstrap: { recovery: { ...spec.bootstrap?.recovery, source: "nowhere" } } }
  const answer = (yield* refusal(namespace, { ...draft, spec: wrong })) ?? "nothing"
  yield* Verify.that(`the webhooks refuse Cluster ${name} with another source`, answer.includes(webhook), answer)
})
