/**
 * From a request to its answer: authentication, discovery, authorization, and one verb on one resource.
 *
 * @see https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go
 */
import * as Result from "effect/Result"
import type { Answer } from "./Answer.ts"
import * as Answers from "./Answer.ts"
import type { Resource } from "./Resources.ts"
import * as Resources from "./Resources.ts"
import * as Selectors from "./Selectors.ts"
import type { Store, Target, WriteOptions } from "./Store.ts"
import type { Tree } from "./Tree.ts"
import * as Trees from "./Tree.ts"

/** A request, read to its end. */
export interface Incoming {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly authorization: string | undefined
  readonly contentType: string | undefined
  readonly userAgent: string | undefined
  readonly body: string
}

/** What RBAC decides on. */
export interface Attributes {
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`. */
  readonly verb: string
  /** `""` for the core group. */
  readonly group: string
  /** The plural, followed by `/` and the subresource where there is one. */
  readonly resource: string
  readonly namespace: string | undefined
  readonly name: string | undefined
}

export interface Server {
  readonly store: Store
  readonly isToken: (token: string) => boolean
  readonly authorize: (attributes: Attributes) => boolean
}

type Attempt<A> = Result.Result<A, Answer>

/** What a URL names, known or not. */
interface Location {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly subresource: string | undefined
}

export const answer = (server: Server, incoming: Incoming): Answer =>
  Result.match(route(server, incoming), { onSuccess: (it) => it, onFailure: (it) => it })

/** Everybody may read these, as `system:public-info-viewer` grants. */
const publicPaths: ReadonlyMap<string, Answer> = new Map([
  ...["/readyz", "/livez", "/healthz"].map((path) => [path, Answers.text(200, "ok")] as const),
  ["/version", Answers.json(200, { major: "1", minor: "34", gitVersion: "v1.34.0", platform: "linux/amd64" })]
])

const route = (server: Server, incoming: Incoming): Attempt<Answer> =>
  Result.gen(function* () {
    const token = /^Bearer (.+)$/i.exec(incoming.authorization ?? "")?.[1]
    const known = publicPaths.get(incoming.path)
    if (token === undefined ? known === undefined : !server.isToken(token)) return Answers.unauthorized
    if (known !== undefined) return known
    const segments = yield* Result.try({
      try: () =>
        incoming.path
          .split("/")
          .filter((segment) => segment !== "")
          .map(decodeURIComponent),
      catch: () => Answers.badRequest("the path is not valid percent-encoding")
    })
    const found = discovery(server.store.resources(), segments)
    if (found !== undefined) return found
    const location = locate(segments)
    return location === undefined ? Answers.noSuchPath : yield* act(server, incoming, location)
  })

/** `/api`, `/apis` and what is directly under them. */
const discovery = (table: ReadonlyArray<Resource>, segments: ReadonlyArray<string>): Answer | undefined => {
  const [root, ...rest] = segments
  const [group, version, more] = root === "api" ? ["", ...rest] : rest
  if ((root !== "api" && root !== "apis") || more !== undefined) return undefined
  const groups = Map.groupBy(
    table.filter((resource) => resource.group !== ""),
    (resource) => resource.group
  )
  const describe = (name: string, resources: ReadonlyArray<Resource>): Tree => {
    const versions = [...new Set(resources.map(Resources.apiVersion))].map((groupVersion) => ({
      groupVersion,
      version: Resources.groupVersion(groupVersion).version
    }))
    return { name, versions, preferredVersion: versions[0] }
  }
  if (group === undefined) {
    return Answers.json(200, {
      kind: "APIGroupList",
      apiVersion: "v1",
      groups: [...groups].map(([name, resources]) => describe(name, resources))
    })
  }
  if (version === undefined) {
    if (group === "") return Answers.json(200, { kind: "APIVersions", versions: ["v1"] })
    const resources = groups.get(group)
    return resources === undefined
      ? Answers.noSuchPath
      : Answers.json(200, { kind: "APIGroup", apiVersion: "v1", ...describe(group, resources) })
  }
  const resources = table.filter((resource) => resource.group === group && resource.version === version)
  if (resources.length === 0) return Answers.noSuchPath
  return Answers.json(200, {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: Resources.apiVersion({ group, version }),
    resources: resources.map(({ kind, namespaced, resource }) => ({
      name: resource,
      singularName: kind.toLowerCase(),
      namespaced,
      kind,
      verbs: ["create", "delete", "get", "list", "patch", "update"]
    }))
  })
}

const namespaceSubresources = new Set(["status", "finalize"])

const locate = (segments: ReadonlyArray<string>): Location | undefined => {
  const [root, ...rest] = segments
  if (root !== "api" && root !== "apis") return undefined
  const [group = "", version = "", ...parts] = root === "api" ? ["", ...rest] : rest
  const inNamespace = parts[0] === "namespaces" && parts.length > 2 && !namespaceSubresources.has(parts[2] ?? "")
  const [resource, name, subresource, more] = inNamespace ? parts.slice(2) : parts
  if (resource === undefined || more !== undefined) return undefined
  // The namespace of a namespace is itself, for authorization.
  const namespace = inNamespace || (resource === "namespaces" && group === "") ? parts[1] : undefined
  return { group, version, resource, namespace, name, subresource }
}

const verbOf = (incoming: Incoming, isItem: boolean): string | undefined => {
  switch (incoming.method) {
    case "GET":
      if (isItem) return "get"
      return ["true", "1"].includes(incoming.query["watch"] ?? "") ? "watch" : "list"
    case "POST":
      return "create"
    case "PUT":
      return "update"
    case "PATCH":
      return "patch"
    case "DELETE":
      return isItem ? "delete" : "deletecollection"
    default:
      return undefined
  }
}

const act = (server: Server, incoming: Incoming, location: Location): Attempt<Answer> =>
  Result.gen(function* () {
    const { group, name, namespace, resource: plural, subresource, version } = location
    const { store } = server
    const verb = verbOf(incoming, name !== undefined)
    if (verb === undefined) return Answers.genericStatus(405)
    const attributes = {
      group,
      resource: subresource === undefined ? plural : `${plural}/${subresource}`,
      namespace,
      name
    }
    const allowed = (asked: string): Attempt<void> =>
      server.authorize({ ...attributes, verb: asked })
        ? Result.succeed(undefined)
        : Result.fail(Answers.forbidden({ ...attributes, verb: asked }))
    yield* allowed(verb)

    const unknown = Resources.isCustom(location) ? Answers.noSuchPath : Answers.genericStatus(404)
    const resource = store
      .resources()
      .find((it) => it.group === group && it.version === version && it.resource === plural)
    const isNamespace = plural === "namespaces" && group === ""
    if (resource === undefined || subresource !== undefined) return unknown
    if (!resource.namespaced && namespace !== undefined && !isNamespace) return unknown
    if (resource.namespaced && namespace === undefined && name !== undefined) return unknown
    const target: Target = { resource, namespace: resource.namespaced ? namespace : undefined }
    const write: WriteOptions = {
      manager: managerOf(incoming),
      dryRun: incoming.query["dryRun"] === "All"
    }

    if (name === undefined) {
      if (verb === "list") return yield* list(store, incoming, target)
      if (verb !== "create" || (resource.namespaced && namespace === undefined)) return Answers.genericStatus(405)
      const body = yield* readBody(incoming)
      const { object } = yield* store.create(target, body, write)
      return Answers.json(201, object)
    }
    switch (verb) {
      case "get": {
        const object = store.get(target, name)
        return object === undefined ? Answers.notFound(resource, name) : Answers.json(200, object)
      }
      case "update": {
        const body = yield* readBody(incoming)
        const { object } = yield* store.update(target, name, body, write)
        return Answers.json(200, object)
      }
      case "patch": {
        const { created, object } = yield* patch(store, incoming, target, name, write, () => allowed("create"))
        return Answers.json(created ? 201 : 200, object)
      }
      case "delete": {
        const deleteOptions = incoming.body === "" ? {} : yield* readBody(incoming)
        const object = yield* store.delete(target, name, deleteOptions, write.dryRun)
        return object.metadata["deletionTimestamp"] === undefined
          ? Answers.deleted(resource, name, String(object.metadata["uid"]))
          : Answers.json(200, object)
      }
      default:
        return Answers.genericStatus(405)
    }
  })

/** What a client without a `fieldManager` is called: the words before the first slash of its user agent. */
const managerOf = ({ query, userAgent }: Incoming): string => {
  const name =
    (query["fieldManager"] ?? "") || (userAgent?.split("/")[0] ?? "").replace(/[^\x20-\x7e]/g, "").slice(0, 128)
  return name === "" ? "unknown" : name
}

const parse = (text: string, fail: (why: string) => Answer): Attempt<Tree> =>
  Result.try({ try: () => Trees.parse(text), catch: () => fail("invalid JSON") }).pipe(
    Result.flatMap((value) => (Trees.isTree(value) ? Result.succeed(value) : Result.fail(fail("it is no object"))))
  )

const mediaType = ({ contentType }: Incoming): string => (contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? ""

const readBody = (incoming: Incoming): Attempt<Tree> =>
  ["", "application/json"].includes(mediaType(incoming))
    ? parse(incoming.body, (why) =>
        Answers.badRequest(`the object provided is unrecognized (must be of a known type): json parse error: ${why}`)
      )
    : Result.fail(Answers.unsupportedMediaType(["application/json"]))

const mergePatchType = "application/merge-patch+json"
const applyPatchType = "application/apply-patch+yaml"

const patch = (
  store: Store,
  incoming: Incoming,
  target: Target,
  name: string,
  write: WriteOptions,
  mayCreate: () => Attempt<void>
) =>
  Result.gen(function* () {
    const type = mediaType(incoming)
    const options = { group: "meta.k8s.io", kind: "PatchOptions" }
    const force = incoming.query["force"]
    if (type === mergePatchType) {
      if (force !== undefined) {
        return yield* Result.fail(
          Answers.invalid(
            options,
            "",
            "force",
            "FieldValueForbidden",
            "Forbidden: may not be specified for non-apply patch"
          )
        )
      }
      const content = yield* parse(incoming.body, (why) => Answers.badRequest(`error decoding patch: ${why}`))
      return yield* store.mergePatch(target, name, content, write)
    }
    if (type !== applyPatchType) {
      return yield* Result.fail(Answers.unsupportedMediaType([mergePatchType, applyPatchType]))
    }
    if ((incoming.query["fieldManager"] ?? "") === "") {
      return yield* Result.fail(
        Answers.invalid(
          options,
          "",
          "fieldManager",
          "FieldValueRequired",
          "Required value: is required for apply patch"
        )
      )
    }
    const config = yield* parse(incoming.body, (why) => Answers.badRequest(`error decoding YAML: ${why}`))
    return yield* store.apply(target, name, config, { ...write, force: force === "true" || force === "1", mayCreate })
  })

const list = (store: Store, { query }: Incoming, target: Target): Attempt<Answer> =>
  Result.gen(function* () {
    const labelSelector = query["labelSelector"] ?? ""
    const fieldSelector = query["fieldSelector"] ?? ""
    const token = (query["continue"] ?? "") || undefined
    const limit = Number(query["limit"] ?? "0")
    if (!Number.isInteger(limit) || limit < 0) {
      return yield* Result.fail(Answers.badRequest(`invalid limit: ${JSON.stringify(query["limit"])}`))
    }
    if (token !== undefined && !["", "0"].includes(query["resourceVersion"] ?? "")) {
      return yield* Result.fail(Answers.badRequest("specifying resource version is not allowed when using continue"))
    }
    const hasLabels = yield* Result.mapError(Selectors.labels(labelSelector), Answers.badRequest)
    const hasFields = yield* Result.mapError(Selectors.fields(fieldSelector), Answers.badRequest)
    const page = yield* store.page(target, {
      matches: (object) => hasLabels(object) && hasFields(object),
      limit,
      continue: token
    })
    const { resource } = target
    return Answers.json(200, {
      kind: `${resource.kind}List`,
      apiVersion: Resources.apiVersion(resource),
      metadata: Trees.defined({
        resourceVersion: page.resourceVersion,
        continue: page.continue,
        remainingItemCount:
          page.remaining > 0 && labelSelector === "" && fieldSelector === "" ? page.remaining : undefined
      }),
      // Go's typed lists print their items without kind and apiVersion.
      items: Resources.isCustom(resource)
        ? page.items
        : page.items.map((object) => Trees.omit(object, "apiVersion", "kind"))
    })
  })
