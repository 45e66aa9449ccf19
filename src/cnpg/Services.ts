/** What the pack's actions share within one process: decisions of a backup, names of a restore. */
import * as Layer from "effect/Layer"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Belongings from "./Belongings.ts"
import * as OnDemandBackups from "./OnDemandBackups.ts"
import * as Recoveries from "./Recoveries.ts"
import * as ServerNames from "./ServerNames.ts"

export type Services =
  | Belongings.Belongings
  | OnDemandBackups.OnDemandBackups
  | Recoveries.Recoveries
  | ServerNames.ServerNames

export const layer: Layer.Layer<Services, never, Kubernetes> = Layer.mergeAll(
  Belongings.layer,
  OnDemandBackups.layer,
  Recoveries.layer,
  ServerNames.layer
)
