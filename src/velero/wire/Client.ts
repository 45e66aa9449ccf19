/** Velero's calls to a plugin, for hosts that test or preview one. */
import type * as Effect from "effect/Effect"
import { BackupItemActionDefinition as BackupV1 } from "../../generated/velero/backup_item_action_v1.ts"
import { BackupItemActionDefinition as BackupV2 } from "../../generated/velero/backup_item_action_v2.ts"
import { PluginListerDefinition } from "../../generated/velero/plugin_lister.ts"
import { RestoreItemActionDefinition as RestoreV1 } from "../../generated/velero/restore_item_action_v1.ts"
import { RestoreItemActionDefinition as RestoreV2 } from "../../generated/velero/restore_item_action_v2.ts"
import type { CallFailed, Client, UnaryMethod } from "../../go-plugin/Client.ts"

/** A service's methods as functions of their requests. */
export type Calls<Methods> = {
  readonly [Name in keyof Methods]: Methods[Name] extends UnaryMethod<infer Request, infer Response>
    ? (request: Request) => Effect.Effect<Response, CallFailed>
    : never
}

interface Definition {
  readonly fullName: string
  readonly methods: object
}

const calls = <D extends Definition>(client: Client, { fullName, methods }: D): Calls<D["methods"]> =>
  Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      (request: unknown) => client.call(fullName, method as UnaryMethod<unknown, unknown>, request)
    ])
  ) as Calls<D["methods"]>

/** Every service that Velero calls. */
export const make = (client: Client) => ({
  pluginLister: calls(client, PluginListerDefinition),
  backupItemAction: calls(client, BackupV1),
  backupItemActionV2: calls(client, BackupV2),
  restoreItemAction: calls(client, RestoreV1),
  restoreItemActionV2: calls(client, RestoreV2)
})

export type VeleroClient = ReturnType<typeof make>
