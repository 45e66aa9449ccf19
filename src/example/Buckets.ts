/** What the in-memory object store keeps: a service, as everything that outlives one call. */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

/** Objects by key. */
export type Bucket = Map<string, Uint8Array>

/** The buckets of this process, made when they are first asked for. */
export class Buckets extends Context.Service<Buckets, { readonly of: (name: string) => Bucket }>()(
  "velero-plugin-cnpg/example/Buckets"
) {}

export const layer: Layer.Layer<Buckets> = Layer.sync(Buckets, () => {
  const buckets = new Map<string, Bucket>()
  return {
    of: (name) => {
      const bucket = buckets.get(name) ?? new Map<string, Uint8Array>()
      buckets.set(name, bucket)
      return bucket
    }
  }
})
