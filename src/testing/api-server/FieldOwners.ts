/**
 * Who owns which field: `metadata.managedFields`, and server-side apply's merge.
 *
 * A set of fields is a set of paths to leaves. A leaf is a scalar, a list (every list counts as atomic, since there is no
 * schema here), an empty object or `null`.
 *
 * @see https://kubernetes.io/docs/reference/using-api/server-side-apply/
 * @see https://github.com/kubernetes-sigs/structured-merge-diff/blob/v6.3.0/merge/update.go
 */
import * as Result from "effect/Result"
import type { FieldConflict } from "./Answer.ts"
import type { Tree } from "./Tree.ts"
import { child, defined, equal, fromEntries, isTree, string } from "./Tree.ts"

/** A JSON pointer; `""` is the root. */
type Path = string

const join = (path: Path, key: string): Path => `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`

const keysOf = (path: Path): ReadonlyArray<string> =>
  path
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"))

/** As Kubernetes prints it, `.metadata.labels.app`. */
const print = (path: Path): string => `.${keysOf(path).join(".")}`

/** One entry of `metadata.managedFields`. */
export interface Owner {
  readonly manager: string
  readonly operation: "Apply" | "Update"
  readonly apiVersion: string
  readonly subresource?: string | undefined
  readonly time?: string | undefined
  readonly fields: ReadonlySet<Path>
}

/** By identity: appliers by name, updaters also by API version. */
export type Owners = ReadonlyMap<string, Owner>

/** The one who writes. */
export interface Writer {
  readonly manager: string
  readonly apiVersion: string
  /** RFC 3339 */
  readonly now: string
}

const identity = ({ apiVersion, manager, operation, subresource }: Omit<Owner, "fields">): string =>
  JSON.stringify([operation, manager, operation === "Apply" ? "" : apiVersion, subresource ?? ""])

/** Fields that nobody owns. */
const unowned = new Set(
  [
    ["apiVersion"],
    ["kind"],
    ...[
      "name",
      "namespace",
      "creationTimestamp",
      "selfLink",
      "uid",
      "generation",
      "managedFields",
      "resourceVersion",
      "deletionTimestamp",
      "deletionGracePeriodSeconds"
    ].map((key) => ["metadata", key])
  ].map((keys) => keys.reduce(join, ""))
)

const isLeaf = (value: unknown): boolean => !isTree(value) || Object.keys(value).length === 0

/** The leaves of an object with their values. */
const leaves = (tree: Tree, path: Path = "", found: Map<Path, unknown> = new Map()): ReadonlyMap<Path, unknown> => {
  for (const [key, value] of Object.entries(tree)) {
    const at = join(path, key)
    if (unowned.has(at)) continue
    if (isTree(value) && !isLeaf(value)) leaves(value, at, found)
    else found.set(at, value)
  }
  return found
}

interface Difference {
  /** New leaves, and leaves with a new value. */
  readonly changed: ReadonlySet<Path>
  readonly removed: ReadonlySet<Path>
}

const difference = (before: Tree, after: Tree): Difference => {
  const old = leaves(before)
  const now = leaves(after)
  return {
    changed: new Set([...now].flatMap(([path, value]) => (old.has(path) && equal(old.get(path), value) ? [] : [path]))),
    // An empty object that now has members is still there.
    removed: new Set(
      [...old].flatMap(([path, value]) => (now.has(path) || (isTree(value) && isTree(at(after, path))) ? [] : [path]))
    )
  }
}

const at = (tree: Tree, path: Path): unknown =>
  keysOf(path).reduce<unknown>((value, key) => (isTree(value) ? value[key] : undefined), tree)

const without = (fields: ReadonlySet<Path>, ...others: ReadonlyArray<ReadonlySet<Path>>): ReadonlySet<Path> =>
  new Set([...fields].filter((path) => !others.some((other) => other.has(path))))

const withOwner = (owners: Iterable<Owner>): Owners =>
  new Map([...owners].flatMap((owner) => (owner.fields.size === 0 ? [] : [[identity(owner), owner]])))

/** After a create, an update or a patch: the writer owns what it changed, alone. */
export const update = (before: Tree, after: Tree, owners: Owners, writer: Writer): Owners => {
  const { changed, removed } = difference(before, after)
  const fresh: Owner = {
    manager: writer.manager,
    operation: "Update",
    apiVersion: writer.apiVersion,
    time: writer.now,
    fields: changed
  }
  const previous = owners.get(identity(fresh))
  const others = [...owners.values()].filter((owner) => owner !== previous)
  const kept = without(previous?.fields ?? new Set(), changed, removed)
  const self = changed.size === 0 && previous !== undefined ? previous : fresh
  return withOwner([
    ...others.map((owner) => ({ ...owner, fields: without(owner.fields, changed, removed) })),
    { ...self, fields: new Set([...kept, ...changed]) }
  ])
}

export interface Applied {
  readonly object: Tree
  readonly owners: Owners
}

/** Server-side apply of `config` to `live` (`undefined`: there is nothing yet). */
export const apply = (
  live: Tree | undefined,
  config: Tree,
  known: Owners,
  writer: Writer,
  force: boolean
): Result.Result<Applied, ReadonlyArray<FieldConflict>> => {
  const before = live ?? {}
  // What was there before anybody applied belongs to a manager of this name, as on a real server.
  const owners =
    live === undefined || known.size > 0 ? known : update({}, live, known, { ...writer, manager: "before-first-apply" })
  const fields: ReadonlySet<Path> = new Set(leaves(config).keys())
  const self: Owner = {
    manager: writer.manager,
    operation: "Apply",
    apiVersion: writer.apiVersion,
    time: writer.now,
    fields
  }
  const last = owners.get(identity(self))?.fields ?? new Set<Path>()
  const others = [...owners.entries()].flatMap(([id, owner]) => (id === identity(self) ? [] : [owner]))
  const merged = merge(before, config)
  const claimed = (path: Path): boolean => fields.has(path) || others.some((owner) => owner.fields.has(path))
  const dropped = [...last].filter((path) => !claimed(path) && isLeaf(at(merged, path)))
  const object = dropped.reduce((tree, path) => remove(tree, keysOf(path), claimed), merged)

  const overwritten = difference(before, merged)
  const conflicts = others
    .flatMap((owner) =>
      [...owner.fields]
        .filter((path) => overwritten.changed.has(path) || overwritten.removed.has(path))
        .map((path) => ({ manager: describe(owner), field: print(path) }))
    )
    .toSorted((a, b) => compare(a.manager, b.manager) || compare(a.field, b.field))
  if (conflicts.length > 0 && !force) return Result.fail(conflicts)

  const { changed, removed } = difference(before, object)
  return Result.succeed({
    object,
    owners: withOwner([...others.map((owner) => ({ ...owner, fields: without(owner.fields, changed, removed) })), self])
  })
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const describe = (owner: Owner): string => {
  const name =
    JSON.stringify(owner.manager) +
    (owner.subresource === undefined ? "" : ` with subresource ${JSON.stringify(owner.subresource)}`)
  return owner.operation === "Update" ? `${name} using ${owner.apiVersion}` : name
}

/** Objects merge, everything else is replaced. */
const merge = (live: Tree, config: Tree): Tree => {
  const merged = new Map(Object.entries(live))
  for (const [key, value] of Object.entries(config)) {
    const old = merged.get(key)
    merged.set(key, isTree(value) ? merge(isTree(old) ? old : {}, value) : value)
  }
  return fromEntries(merged)
}

/** `tree` without the leaf at `keys`, and without the objects that this leaves empty and nobody claims. */
const remove = (tree: Tree, keys: ReadonlyArray<string>, claimed: (path: Path) => boolean, above: Path = ""): Tree => {
  const [key, ...rest] = keys
  if (key === undefined || !Object.hasOwn(tree, key)) return tree
  const value = tree[key]
  const path = join(above, key)
  const kept = rest.length > 0 && isTree(value) ? remove(value, rest, claimed, path) : undefined
  const entries = Object.entries(tree)
  return kept === undefined || (isLeaf(kept) && !claimed(path))
    ? fromEntries(entries.filter(([name]) => name !== key))
    : fromEntries(entries.map(([name, old]) => (name === key ? [name, kept] : [name, old])))
}

/** Reads `metadata.managedFields`; entries that make no sense count as absent, as on a real server. */
export const decode = (managedFields: unknown): Owners =>
  withOwner(
    (Array.isArray(managedFields) ? managedFields : []).filter(isTree).flatMap((entry) => {
      const operation = string(entry, "operation")
      const apiVersion = string(entry, "apiVersion")
      if ((operation !== "Apply" && operation !== "Update") || apiVersion === undefined) return []
      return [
        {
          manager: string(entry, "manager") ?? "unknown",
          operation,
          apiVersion,
          subresource: string(entry, "subresource"),
          time: string(entry, "time"),
          fields: decodeFields(child(entry, "fieldsV1"))
        } satisfies Owner
      ]
    })
  )

const decodeFields = (node: Tree, path: Path = "", found: Set<Path> = new Set()): ReadonlySet<Path> => {
  for (const [key, value] of Object.entries(node)) {
    // `.` is the object itself, `k:`, `v:` and `i:` are items of a list.
    if (!key.startsWith("f:")) {
      if (path !== "") found.add(path)
      continue
    }
    const at = join(path, key.slice(2))
    if (isTree(value) && !isLeaf(value)) decodeFields(value, at, found)
    else found.add(at)
  }
  return found
}

type Node = Map<string, Node>

/** For `metadata.managedFields`; `undefined` where nobody owns anything. */
export const encode = (owners: Owners): ReadonlyArray<Tree> | undefined => {
  if (owners.size === 0) return undefined
  return [...owners.values()]
    .toSorted(
      (a, b) =>
        compare(a.operation, b.operation) ||
        compare(a.time ?? "", b.time ?? "") ||
        compare(a.manager, b.manager) ||
        compare(a.apiVersion, b.apiVersion) ||
        compare(a.subresource ?? "", b.subresource ?? "")
    )
    .map(({ apiVersion, fields, manager, operation, subresource, time }) =>
      defined({
        manager,
        operation,
        apiVersion,
        time,
        fieldsType: "FieldsV1",
        fieldsV1: encodeFields(fields),
        subresource
      })
    )
}

const encodeFields = (fields: ReadonlySet<Path>): Tree => {
  const root: Node = new Map()
  for (const path of [...fields].toSorted()) {
    let node = root
    let at = ""
    for (const key of keysOf(path)) {
      // A parent that is itself owned has been seen before its members.
      if (node.size === 0 && fields.has(at)) node.set(".", new Map())
      at = join(at, key)
      const next: Node = node.get(`f:${key}`) ?? new Map()
      node.set(`f:${key}`, next)
      node = next
    }
  }
  const toTree = (node: Node): Tree => fromEntries([...node].map(([key, inner]) => [key, toTree(inner)]))
  return toTree(root)
}
