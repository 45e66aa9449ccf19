/**
 * `velero-cnpg/contents-backup-plugin` and `velero-cnpg/item-block-plugin`: what a Cluster cannot be recovered without goes into the
 * backup with it, and is backed up beside it.
 *
 * A backup of whole namespaces has all of it anyway. One by label, or of chosen resources, would have a Cluster without its
 * ObjectStore and credentials. What the user excludes by name stays out.
 *
 * Velero fails an item for an additional item that it cannot look for, and warns of one that is not there. So only what was seen to be
 * there is named.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { KubernetesError } from "../kubernetes/Kubernetes.ts"
import { type Note, warn } from "../velero/Action.ts"
import type { Backup } from "../velero/Backup.ts"
import * as BackupView from "../velero/Backup.ts"
import * as BackupItemAction from "../velero/BackupItemAction.ts"
import * as Item from "../velero/Item.ts"
import * as ItemBlockAction from "../velero/ItemBlockAction.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import type { ResourceIdentifier } from "../velero/Resources.ts"
import { Belongings, type Companions, identifier } from "./Belongings.ts"
import { mustIncludeAdditionalItems } from "./Names.ts"
import type { Reference, Referring } from "./References.ts"
import * as References from "./References.ts"

/** A reference, and whether its object is there. */
export interface Checked {
  readonly reference: Reference
  readonly presence: Result.Result<boolean, KubernetesError>
}

export interface Facts {
  readonly backup: Backup
  /** What the object refers to. */
  readonly references: ReadonlyArray<Checked>
  /** The Secrets that the operator has made for a Cluster; one that is not there is none that is missed. */
  readonly generated: ReadonlyArray<Checked>
  /** What refers to a Cluster. */
  readonly companions: Companions
}

export interface Decision {
  readonly items: ReadonlyArray<ResourceIdentifier>
  readonly patches: ReadonlyArray<Patch>
  readonly notes: ReadonlyArray<Note>
}

/** Where nobody answers, all of them take as long as one. */
const atOnce = { concurrency: "unbounded" } as const

const check = (owner: string, namespace: string, references: ReadonlyArray<Reference>) =>
  Effect.flatMap(Belongings, (belongings) =>
    Effect.forEach(
      references,
      (reference) =>
        Effect.map(belongings.has(owner, reference.resource, namespace, reference.name), (presence): Checked => ({
          reference,
          presence
        })),
      atOnce
    )
  )

const noCompanions: Companions = { found: [], unreadable: [] }

const fetch = Effect.fnUntraced(function* (referring: Referring, { backup }: { readonly backup: Backup }) {
  const { kind, metadata } = referring
  const owner = BackupView.key(backup)
  const namespace = metadata.namespace ?? ""
  // Velero stores it once more; what belongs to it is in the backup already, and would be read anew and put in whatever the filters say.
  if (BackupView.isFinalizing(backup)) {
    return { backup, references: [], generated: [], companions: { found: [], unreadable: [] } } satisfies Facts
  }
  const isCluster = kind === "Cluster"
  const belongings = yield* Belongings
  const found = yield* Effect.all(
    {
      references: check(owner, namespace, References.of(referring)),
      generated: check(owner, namespace, isCluster ? References.generatedBy(metadata.name) : []),
      companions: isCluster ? belongings.companions(owner, namespace, metadata.name) : Effect.succeed(noCompanions)
    },
    atOnce
  )
  return { backup, ...found } satisfies Facts
})

/** Whether the user has named a resource among those to leave out. */
const isExcluded = ({ spec }: Backup, { group, resource }: ResourceIdentifier): boolean =>
  [...(spec?.excludedResources ?? []), ...(spec?.excludedNamespaceScopedResources ?? [])].some(
    (name) => name === resource || name === `${resource}.${group}`
  )

/** Whether the backup takes less than all of its namespaces. */
const isSelective = ({ spec }: Backup): boolean =>
  Boolean(spec?.labelSelector) ||
  [spec?.orLabelSelectors, spec?.includedResources, spec?.includedNamespaceScopedResources].some(
    (list) => (list ?? []).length > 0 && !list?.includes("*")
  )

/** Which objects go with an object. */
export const transform = (
  { kind, metadata }: Referring,
  { backup, companions, generated, references }: Facts
): Decision => {
  const namespace = metadata.namespace ?? ""
  const name = `${kind} ${namespace}/${metadata.name}`
  const all = [...references, ...generated]
  const there = all.filter(({ presence }) => Result.isSuccess(presence) && presence.success)
  const items = [
    ...there.map(({ reference }) => identifier(reference.resource, namespace, reference.name)),
    ...companions.found
  ].filter((item) => !isExcluded(backup, item))
  const missing = references.filter(
    ({ presence, reference }) => reference.purpose.vital && Result.isSuccess(presence) && !presence.success
  )
  const [unreadable, ...others] = [
    ...all.flatMap(({ presence }) => (Result.isFailure(presence) ? [presence.failure] : [])),
    ...companions.unreadable
  ]
  return {
    items,
    patches:
      items.length > 0 && isSelective(backup)
        ? [Json.set(["metadata", "annotations", mustIncludeAdditionalItems], "true")]
        : [],
    notes: [
      ...missing.map(({ reference }) =>
        warn(
          `${name} needs ${reference.resource.kind} ${reference.name} (${reference.purpose.text}), which does not exist: without it nothing can be recovered`
        )
      ),
      ...(unreadable !== undefined && isSelective(backup)
        ? [
            warn(
              `${name}: ${others.length + 1} of the objects that a recovery may need could not be looked for, and are not in the backup unless it selects them: ${unreadable.message}`
            )
          ]
        : [])
    ]
  }
}

const selector = { includedResources: References.referringResources }

export const action = BackupItemAction.make({
  selector,
  decode: References.Referring,
  fetch,
  transform: (referring, facts: Facts) => Result.succeed(transform(referring, facts)),
  encode: (item, { items, notes, patches }) => ({ item: Item.patch(item, patches), additionalItems: items, notes })
})

/** The same objects, in one block with the Cluster. What there is to say of them the other action says. */
export const blockAction = ItemBlockAction.make({
  selector,
  decode: References.Referring,
  fetch,
  transform: (referring, facts: Facts) => Result.succeed(transform(referring, facts)),
  encode: (_, { items }) => ({ relatedItems: items })
})
