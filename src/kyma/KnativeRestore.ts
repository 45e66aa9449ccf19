/**
 * `kyma-project.io/knative-kyma-integration-restore-plugin`: leaves out what Knative Serving made in `kyma-integration`.
 *
 * @see https://github.com/kyma-project/kyma/pull/7137 (`IgnoreKnative`)
 */
import * as LeaveOut from "./LeaveOut.ts"

export const action = LeaveOut.make({
  selector: { includedNamespaces: ["kyma-integration"] },
  matches: (key) => key.startsWith("serving.knative.dev/"),
  namesLabel: false
})
