/** Clusters that live where a restore goes. */
import * as Effect from "effect/Effect"
import { Kubernetes } from "../kubernetes/Kubernetes.ts"
import type { Restore } from "../velero/Restore.ts"
import { resources } from "./Names.ts"

/** The name, if a Cluster of that name exists and Velero would overwrite what is there. By any other policy nobody is asked. */
export const findLiving = Effect.fnUntraced(function* (name: string, namespace: string, restore: Restore) {
  if (name === "" || restore.spec?.existingResourcePolicy !== "update") return undefined
  const kubernetes = yield* Kubernetes
  return yield* kubernetes.get(resources.clusters, namespace, name).pipe(
    Effect.as(name),
    Effect.catchTag("NotFound", () => Effect.undefined)
  )
})
