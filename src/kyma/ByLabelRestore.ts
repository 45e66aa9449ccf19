/**
 * `kyma-project.io/by-label-restore-plugin`: leaves out what the default broker of Knative Eventing made in users' namespaces.
 *
 * As it excludes namespaces, Velero never calls it for cluster-scoped items.
 *
 * @see https://github.com/kyma-project/kyma/pull/7137 (`IgnoreByLabel`)
 */
import * as LeaveOut from "./LeaveOut.ts"

export const action = LeaveOut.make({
  selector: {
    excludedNamespaces: ["kyma-system", "knative-eventing", "knative-serving", "istio-system"],
    excludedResources: ["trigger.eventing.knative.dev"]
  },
  matches: (key, value) => key === "eventing.knative.dev/broker" && value === "default",
  namesLabel: true
})
