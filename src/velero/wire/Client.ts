/** Velero's calls to a plugin, for hosts that test or preview one. */
import type * as Effect from "effect/Effect"
import { BackupItemActionDefinition as BackupV1 } from "../../generated/velero/backup_item_action_v1.ts"
import { BackupItemActionDefinition as BackupV2 } from "../../generated/velero/backup_item_action_v2.ts"
import { DeleteItemActionDefinition } from "../../generated/velero/delete_item_action.ts"
import { ItemBlockActionDefinition } from "../../generated/velero/item_block_action.ts"
import { PluginListerDefinition } from "../../generated/velero/plugin_lister.ts"
import { RestoreItemActionDefinition as RestoreV1 } from "../../generated/velero/restore_item_action_v1.ts"
import { RestoreItemActionDefinition as RestoreV2 } from "../../generated/velero/restore_item_action_v2.ts"
import { VolumeSnapshotterDefinition } from "../../generated/velero/volume_snapshotter.ts"
import type { CallFailed, Client } from "../../go-plugin/Client.ts"
import type { MethodDefinition } from "../../go-plugin/Rpc.ts"

/** A service's methods as functions of their requests. */
export type Calls<Methods> = {
  readonly [Name in keyof Methods]: Methods[Name] extends MethodDefinition<infer Request, infer Response>
    ? (request: Request) => Effect.Effect<Response, CallFailed>
    : never
}

type Connection = Pick<Client, "call">

interface Definition {
  readonly fullName: string
  readonly methods: object
}

const calls = <D extends Definition>(client: Connection, { fullName, methods }: D): Calls<D["methods"]> =>
  Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      (request: unknown) => client.call(fullName, method as MethodDefinition<unknown, unknown>, request)
    ])
  ) as Calls<D["methods"]>

/** Every service that Velero calls. */
export const make = (client: Connection) => ({
  pluginLister: calls(client, PluginListerDefinition),
  backupItemAction: calls(client, BackupV1),
  backupItemActionV2: calls(client, BackupV2),
  restoreItemAction: calls(client, RestoreV1),
  restoreItemActionV2: calls(client, RestoreV2),
  deleteItemAction: calls(client, DeleteItemActionDefinition),
  itemBlockAction: calls(client, ItemBlockActionDefinition),
  volumeSnapshotter: calls(client, VolumeSnapshotterDefinition)
})

export type VeleroClient = ReturnType<typeof make>
