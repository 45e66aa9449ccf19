/**
 * `kyma-project.io/nats-channels-restore-plugin`: leaves the Services of NATSS channels out.
 *
 * The channel's controller makes the Service anew; a restored one would have no owner.
 *
 * @see https://github.com/kyma-project/kyma/pull/6050 (`IgnoreNatssChannelService`)
 */
import * as LeaveOut from "./LeaveOut.ts"

export const action = LeaveOut.make({
  selector: { includedResources: ["services"] },
  matches: (key, value) => key === "messaging.knative.dev/role" && value === "natss-channel",
  namesLabel: false
})
