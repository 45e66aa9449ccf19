/**
 * The objects, and what may be done to them: etcd and the generic registry of kube-apiserver in one.
 *
 * Every function here is synchronous, so that no two requests ever meet half-way. An object that was stored is never
 * changed: a write stores another one, and a snapshot is an array of references.
 *
 * @see https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apiserver/pkg/registry/generic/registry/store.go
 */
import * as Result from "effect/Result"
import type { Answer } from "./Answer.ts"
import * as Answers from "./Answer.ts"
import * as FieldOwners from "./FieldOwners.ts"
import type { Resource } from "./Resources.ts"
import * as Resources from "./Resources.ts"
import type { Tree } from "./Tree.ts"
import * as Trees from "./Tree.ts"

/** What is stored: `apiVersion`, `kind` and a `metadata` with a name, always. */
export interface Stored extends Tree {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Tree
}

/** One place of an object. */
export interface Target {
  readonly resource: Resource
  /** `undefined` for cluster-scoped resources, always a name for the others. */
  readonly namespace: string | undefined
}

/** Who writes, and whether for real. */
export interface WriteOptions {
  readonly manager: string
  readonly dryRun: boolean
}

export interface Written {
  readonly object: Stored
  readonly created: boolean
}

export interface Page {
  readonly items: ReadonlyArray<Stored>
  readonly resourceVersion: string
  readonly continue: string | undefined
  readonly remaining: number
}

export interface ListOptions {
  readonly matches: (object: Tree) => boolean
  /** 0: no limit. */
  readonly limit: number
  readonly continue: string | undefined
}

type Attempt<A> = Result.Result<A, Answer>

/** Lists that can still be continued; the oldest gives way, as etcd compacts its history. */
const maximumSnapshots = 100

const namespaces = { group: "", version: "v1", resource: "namespaces", kind: "Namespace", namespaced: false } as const

export type Store = ReturnType<typeof make>

/** `now` is RFC 3339 in whole seconds, as Kubernetes prints time. */
export const make = (options: {
  readonly resources: ReadonlyArray<Resource>
  readonly createNamespaces: boolean
  readonly now: () => string
}) => {
  const table: Array<Resource> = [...options.resources, ...Resources.builtInResources]
  const stored = new Map<string, Map<string, Stored>>()
  const snapshots = new Map<string, ReadonlyArray<Stored>>()
  let revision = 1
  let created = 0

  const collection = (resource: Pick<Resource, "group" | "resource">): Map<string, Stored> => {
    const id = Resources.groupResource(resource)
    const objects = stored.get(id) ?? new Map<string, Stored>()
    stored.set(id, objects)
    return objects
  }

  const get = ({ namespace, resource }: Target, name: string): Stored | undefined =>
    collection(resource).get(keyOf(namespace, name))

  const write = (target: Target, name: string, object: Stored): Stored => {
    const next = withMetadata(object, { resourceVersion: String(++revision) })
    collection(target.resource).set(keyOf(target.namespace, name), next)
    return next
  }

  const erase = ({ namespace, resource }: Target, name: string): void => {
    if (!collection(resource).delete(keyOf(namespace, name))) return
    revision++
    if (resource.group !== "" || resource.resource !== "namespaces") return
    for (const objects of stored.values()) {
      for (const [key, object] of objects) if (object.metadata["namespace"] === name) objects.delete(key)
    }
  }

  const sorted = (resource: Pick<Resource, "group" | "resource">, namespace?: string): ReadonlyArray<Stored> =>
    [...collection(resource)]
      .filter(([, object]) => namespace === undefined || object.metadata["namespace"] === namespace)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object)

  const identity = (): Tree => ({
    uid: `00000000-0000-4000-8000-${(++created).toString(16).padStart(12, "0")}`,
    creationTimestamp: options.now()
  })

  /** A namespace that nobody wrote down, but that must be there. */
  const addNamespace = (name: string): void => {
    const target = { resource: namespaces, namespace: undefined }
    if (get(target, name) !== undefined) return
    write(target, name, { apiVersion: "v1", kind: "Namespace", metadata: { name, ...identity() } })
  }

  const needsNamespace = ({ namespace }: Target): Attempt<void> =>
    namespace === undefined || options.createNamespaces || collection(namespaces).has(namespace)
      ? Result.succeed(undefined)
      : Result.fail(Answers.notFound(namespaces, namespace))

  const writer = (resource: Resource, manager: string): FieldOwners.Writer => ({
    manager,
    apiVersion: Resources.apiVersion(resource),
    now: options.now()
  })

  const insert = (
    target: Target,
    name: string,
    body: Stored,
    owners: (object: Stored) => FieldOwners.Owners,
    dryRun: boolean
  ): Stored => {
    const object = withMetadata(body, {
      name,
      namespace: target.namespace,
      ...identity(),
      generation: Resources.hasGeneration(target.resource) ? 1 : undefined,
      resourceVersion: undefined,
      selfLink: undefined,
      deletionTimestamp: undefined,
      deletionGracePeriodSeconds: undefined
    })
    const next = withMetadata(object, { managedFields: FieldOwners.encode(owners(object)) })
    if (dryRun) return next
    if (target.namespace !== undefined) addNamespace(target.namespace)
    return write(target, name, next)
  }

  /** Stores what replaces `live`; a change of nothing but times changes nothing at all. */
  const replace = (
    target: Target,
    name: string,
    live: Stored,
    body: Tree,
    owners: (object: Stored) => FieldOwners.Owners,
    dryRun: boolean
  ): Stored => {
    const { metadata } = live
    const object = withMetadata(typed(target.resource, body), {
      name,
      namespace: target.namespace,
      uid: metadata["uid"],
      creationTimestamp: metadata["creationTimestamp"],
      generation: metadata["generation"],
      resourceVersion: metadata["resourceVersion"],
      deletionTimestamp: metadata["deletionTimestamp"],
      deletionGracePeriodSeconds: metadata["deletionGracePeriodSeconds"]
    })
    const next = withMetadata(object, { managedFields: FieldOwners.encode(owners(object)) })
    if (Trees.equal(withoutTimes(next), withoutTimes(live))) return live
    const { generation } = metadata
    const counted =
      typeof generation === "number" && !Trees.equal(desired(next), desired(live))
        ? withMetadata(next, { generation: generation + 1 })
        : next
    if (dryRun) return counted
    if (metadata["deletionTimestamp"] !== undefined && finalizers(counted).length === 0) {
      erase(target, name)
      return counted
    }
    return write(target, name, counted)
  }

  const update = (
    target: Target,
    name: string,
    live: Stored,
    body: Tree,
    { dryRun, manager }: WriteOptions
  ): Attempt<Stored> => {
    const sent = Trees.child(body, "metadata")
    const uid = Trees.string(sent, "uid")
    const version = Trees.string(sent, "resourceVersion")
    if (uid !== undefined && uid !== live.metadata["uid"]) {
      return Result.fail(Answers.conflict(target.resource, name, uidPrecondition(uid, live)))
    }
    if ((version === undefined || version === "0") && Resources.isCustom(target.resource)) {
      return Result.fail(
        Answers.invalid(
          { group: target.resource.group, kind: target.resource.resource },
          name,
          "metadata.resourceVersion",
          "FieldValueInvalid",
          "Invalid value: 0x0: must be specified for an update"
        )
      )
    }
    if (version !== undefined && version !== "0" && version !== live.metadata["resourceVersion"]) {
      return Result.fail(Answers.modified(target.resource, name))
    }
    // Who sends owners replaces them; who sends `[]` or `[{}]` ends the tracking until the next apply.
    const reset = isReset(sent["managedFields"])
    const declared = FieldOwners.decode(sent["managedFields"])
    const known = declared.size > 0 ? declared : FieldOwners.decode(reset ? undefined : live.metadata["managedFields"])
    return Result.succeed(
      replace(
        target,
        name,
        live,
        body,
        (object) =>
          known.size === 0 ? known : FieldOwners.update(live, object, known, writer(target.resource, manager)),
        dryRun
      )
    )
  }

  return {
    /** All resources that the server knows by now. */
    resources: (): ReadonlyArray<Resource> => table,

    /** Finds the resource of a kind, or learns it. */
    learn: (apiVersion: string, kind: string, namespaced: boolean): Resource => {
      const known = Resources.find(table, apiVersion, kind)
      if (known !== undefined) return known
      const guessed = Resources.guess(apiVersion, kind, namespaced)
      table.push(guessed)
      return guessed
    },

    get,
    list: sorted,

    all: (): ReadonlyArray<Stored> =>
      [...new Map(table.map((resource) => [Resources.groupResource(resource), resource])).values()].flatMap(
        (resource) => sorted(resource)
      ),

    /** Stores an object as it is; what the server would have given it is added where it is missing. */
    put: (target: Target, name: string, object: Stored): void => {
      if (target.namespace !== undefined) addNamespace(target.namespace)
      const { creationTimestamp, uid } = get(target, name)?.metadata ?? identity()
      const given = { uid, creationTimestamp, ...object.metadata, namespace: target.namespace }
      write(target, name, withMetadata(object, given))
    },

    erase,

    page: (target: Target, list: ListOptions): Attempt<Page> =>
      Result.gen(function* () {
        const id = Resources.groupResource(target.resource)
        const token = list.continue === undefined ? undefined : yield* decodeToken(list.continue)
        const current = String(revision)
        const isCurrent = token === undefined || token.resourceVersion === "-1"
        const resourceVersion = isCurrent ? current : token.resourceVersion
        const everything = isCurrent ? sorted(target.resource) : snapshots.get(`${id} ${resourceVersion}`)
        const start = token?.start ?? ""
        if (everything === undefined) {
          return yield* Result.fail(Answers.expired(encodeToken("-1", start)))
        }
        const rest = everything.filter(
          (object) =>
            (target.namespace === undefined || object.metadata["namespace"] === target.namespace) &&
            key(object) >= start &&
            list.matches(object)
        )
        const items = list.limit > 0 ? rest.slice(0, list.limit) : rest
        const last = items.at(-1)
        const remaining = rest.length - items.length
        if (remaining === 0 || last === undefined) {
          return { items, resourceVersion, continue: undefined, remaining: 0 }
        }
        const snapshot = `${id} ${resourceVersion}`
        snapshots.delete(snapshot)
        snapshots.set(snapshot, everything)
        for (const oldest of snapshots.keys()) {
          if (snapshots.size <= maximumSnapshots) break
          snapshots.delete(oldest)
        }
        return { items, resourceVersion, continue: encodeToken(resourceVersion, `${key(last)}\u0000`), remaining }
      }),

    expireContinueTokens: (): void => snapshots.clear(),

    create: (target: Target, body: Tree, { dryRun, manager }: WriteOptions): Attempt<Written> =>
      Result.gen(function* () {
        const { resource } = target
        const sent = Trees.child(body, "metadata")
        yield* sameKind(resource, body)
        yield* sameNamespace(target, sent)
        yield* needsNamespace(target)
        const prefix = Trees.string(sent, "generateName")
        const name = Trees.string(sent, "name") ?? (prefix === undefined ? undefined : generateName(target, prefix))
        if (name === undefined) {
          return yield* Result.fail(
            Answers.invalid(
              resource,
              "",
              "metadata.name",
              "FieldValueRequired",
              "Required value: name or generateName is required"
            )
          )
        }
        // The storage layer says this, and nobody makes a better error of it.
        if (Trees.string(sent, "resourceVersion") !== undefined) {
          return yield* Result.fail(Answers.untranslated("resourceVersion should not be set on objects to be created"))
        }
        if (get(target, name) !== undefined) return yield* Result.fail(Answers.alreadyExists(resource, name))
        const owners = (object: Stored) =>
          FieldOwners.update({}, object, FieldOwners.decode(sent["managedFields"]), writer(resource, manager))
        return { object: insert(target, name, typed(resource, body), owners, dryRun), created: true }
      }),

    update: (target: Target, name: string, body: Tree, how: WriteOptions): Attempt<Written> =>
      Result.gen(function* () {
        const sent = Trees.child(body, "metadata")
        yield* sameKind(target.resource, body)
        yield* sameName(sent, name)
        yield* sameNamespace(target, sent)
        const live = get(target, name)
        if (live === undefined) return yield* Result.fail(Answers.notFound(target.resource, name))
        return { object: yield* update(target, name, live, body, how), created: false }
      }),

    mergePatch: (target: Target, name: string, patch: Tree, how: WriteOptions): Attempt<Written> =>
      Result.gen(function* () {
        const live = get(target, name)
        if (live === undefined) return yield* Result.fail(Answers.notFound(target.resource, name))
        const patched = Trees.mergePatch(live, patch)
        const body = Trees.isTree(patched) ? patched : {}
        yield* sameKind(target.resource, body)
        yield* sameName(Trees.child(body, "metadata"), name)
        yield* sameNamespace(target, Trees.child(body, "metadata"))
        return { object: yield* update(target, name, live, body, how), created: false }
      }),

    /** `mayCreate` is asked before the object is created. */
    apply: (
      target: Target,
      name: string,
      config: Tree,
      {
        dryRun,
        force,
        manager,
        mayCreate
      }: WriteOptions & {
        readonly force: boolean
        readonly mayCreate: () => Attempt<void>
      }
    ): Attempt<Written> =>
      Result.gen(function* () {
        const { resource } = target
        const sent = Trees.child(config, "metadata")
        if (config["apiVersion"] !== Resources.apiVersion(resource) || config["kind"] !== resource.kind) {
          return yield* Result.fail(
            Answers.badRequest(`invalid object type: ${String(config["apiVersion"])}, Kind=${String(config["kind"])}`)
          )
        }
        if (sent["managedFields"] !== undefined && sent["managedFields"] !== null) {
          return yield* Result.fail(Answers.badRequest("metadata.managedFields must be nil"))
        }
        const live = get(target, name)
        const applied = yield* Result.mapError(
          FieldOwners.apply(
            live,
            config,
            FieldOwners.decode(live?.metadata["managedFields"]),
            writer(resource, manager),
            force
          ),
          Answers.applyConflict
        )
        const uid = Trees.string(sent, "uid")
        const version = Trees.string(sent, "resourceVersion")
        if (uid !== undefined && uid !== live?.metadata["uid"]) {
          const why =
            live === undefined
              ? `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`
              : uidPrecondition(uid, live)
          return yield* Result.fail(Answers.conflict(resource, name, why))
        }
        yield* sameNamespace(target, Trees.child(applied.object, "metadata"))
        yield* sameName(Trees.child(applied.object, "metadata"), name)
        if (version !== undefined && version !== live?.metadata["resourceVersion"]) {
          return yield* Result.fail(Answers.modified(resource, name))
        }
        if (live === undefined) {
          yield* needsNamespace(target)
          yield* mayCreate()
          return { object: insert(target, name, typed(resource, config), () => applied.owners, dryRun), created: true }
        }
        const object = replace(target, name, live, applied.object, () => applied.owners, dryRun)
        return { object, created: false }
      }),

    delete: (target: Target, name: string, deleteOptions: Tree, dryRun: boolean): Attempt<Stored> =>
      Result.gen(function* () {
        const live = get(target, name)
        if (live === undefined) return yield* Result.fail(Answers.notFound(target.resource, name))
        const preconditions = Trees.child(deleteOptions, "preconditions")
        const uid = Trees.string(preconditions, "uid")
        const version = Trees.string(preconditions, "resourceVersion")
        if (uid !== undefined && uid !== live.metadata["uid"]) {
          return yield* Result.fail(Answers.conflict(target.resource, name, uidPrecondition(uid, live)))
        }
        if (version !== undefined && version !== live.metadata["resourceVersion"]) {
          return yield* Result.fail(
            Answers.conflict(
              target.resource,
              name,
              `the ResourceVersion in the precondition (${version}) does not match the ResourceVersion in record ` +
                `(${String(live.metadata["resourceVersion"])}). The object might have been modified`
            )
          )
        }
        if (finalizers(live).length === 0) {
          if (!dryRun) erase(target, name)
          return live
        }
        if (live.metadata["deletionTimestamp"] !== undefined) return live
        const marked = withMetadata(live, { deletionTimestamp: options.now(), deletionGracePeriodSeconds: 0 })
        return dryRun ? marked : write(target, name, marked)
      })
  }

  /** Five letters of Kubernetes' own alphabet, but counted and not random: a test sees the same name every time. */
  function generateName(target: Target, prefix: string): string {
    const alphabet = "bcdfghjklmnpqrstvwxz2456789"
    for (let count = created; ; count++) {
      let suffix = ""
      for (let rest = count; suffix.length < 5; rest = Math.floor(rest / alphabet.length)) {
        suffix = alphabet.charAt(rest % alphabet.length) + suffix
      }
      if (get(target, prefix + suffix) === undefined) return prefix + suffix
    }
  }
}

const keyOf = (namespace: string | undefined, name: string): string =>
  namespace === undefined ? name : `${namespace}/${name}`

const key = ({ metadata }: Stored): string =>
  keyOf(Trees.string(metadata, "namespace"), Trees.string(metadata, "name") ?? "")

/** `object` with metadata set; `undefined` removes. */
const withMetadata = (object: Stored, metadata: Tree): Stored => ({
  ...object,
  metadata: Trees.defined({ ...object.metadata, ...metadata })
})

/** A body as an object of its resource. */
const typed = (resource: Resource, body: Tree): Stored => ({
  ...body,
  apiVersion: Resources.apiVersion(resource),
  kind: resource.kind,
  metadata: Trees.child(body, "metadata")
})

const finalizers = ({ metadata }: Stored): ReadonlyArray<unknown> =>
  Array.isArray(metadata["finalizers"]) ? metadata["finalizers"] : []

/** What `metadata.generation` counts the changes of. */
const desired = (object: Stored): Tree => Trees.omit(object, "metadata", "status")

const withoutTimes = (object: Stored): Tree =>
  withMetadata(object, {
    managedFields: Array.isArray(object.metadata["managedFields"])
      ? object.metadata["managedFields"].map((entry) => (Trees.isTree(entry) ? Trees.omit(entry, "time") : entry))
      : undefined
  })

const isReset = (managedFields: unknown): boolean =>
  Array.isArray(managedFields) &&
  (managedFields.length === 0 || (managedFields.length === 1 && Trees.equal(managedFields[0], {})))

const uidPrecondition = (uid: string, live: Stored): string =>
  `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${String(live.metadata["uid"])}`

const sameKind = (resource: Resource, body: Tree): Attempt<void> => {
  const expected = Resources.apiVersion(resource)
  const apiVersion = Trees.string(body, "apiVersion") ?? expected
  const kind = Trees.string(body, "kind") ?? resource.kind
  if (apiVersion !== expected) {
    return Result.fail(
      Answers.badRequest(
        `the API version in the data (${apiVersion}) does not match the expected API version (${expected})`
      )
    )
  }
  return kind === resource.kind
    ? Result.succeed(undefined)
    : Result.fail(
        Answers.badRequest(
          `${kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: ` +
            `converting (${apiVersion}.${kind}) to (${apiVersion}.${resource.kind}): unknown conversion`
        )
      )
}

const sameNamespace = ({ namespace }: Target, metadata: Tree): Attempt<void> =>
  namespace === undefined || (Trees.string(metadata, "namespace") ?? namespace) === namespace
    ? Result.succeed(undefined)
    : Result.fail(
        Answers.badRequest("the namespace of the provided object does not match the namespace sent on the request")
      )

const sameName = (metadata: Tree, name: string): Attempt<void> => {
  const sent = Trees.string(metadata, "name") ?? ""
  return sent === name
    ? Result.succeed(undefined)
    : Result.fail(Answers.badRequest(`the name of the object (${sent}) does not match the name on the URL (${name})`))
}

interface Token {
  readonly resourceVersion: string
  readonly start: string
}

/** The form of kube-apiserver's own tokens; a client must not look inside. `-1` stands for "now". */
const encodeToken = (resourceVersion: string, start: string): string =>
  Buffer.from(JSON.stringify({ v: "meta.k8s.io/v1", rv: Number(resourceVersion), start })).toString("base64url")

const decodeToken = (token: string): Attempt<Token> =>
  Result.gen(function* () {
    const malformed = (why: string): Answer => Answers.badRequest(`continue key is not valid: ${why}`)
    const content = yield* Result.try({
      try: () => JSON.parse(Buffer.from(token, "base64url").toString("utf8")) as unknown,
      catch: () => malformed("it is no token of this server")
    })
    if (!Trees.isTree(content) || content["v"] !== "meta.k8s.io/v1") {
      return yield* Result.fail(malformed("server does not recognize this encoded version"))
    }
    const { rv, start } = content
    if (typeof rv !== "number" || rv === 0) {
      return yield* Result.fail(malformed("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"))
    }
    if (typeof start !== "string" || start === "") {
      return yield* Result.fail(malformed("encoded start key empty (version meta.k8s.io/v1)"))
    }
    return { resourceVersion: String(rv), start }
  })
