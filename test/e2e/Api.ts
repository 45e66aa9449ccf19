/**
 * The stand's API server, over its REST API: just enough to write what scenarios set up and to read what servers did.
 *
 * Objects come and go as JSON, in the shapes of `Objects.ts`; nothing is checked here, the API server does that.
 */
import * as Https from "node:https"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Resource, Saved } from "./Objects.ts"

/** A request that was not answered with success. */
export class RequestFailed extends Data.TaggedError("RequestFailed")<{
  readonly method: string
  readonly path: string
  /** HTTP status; 0: no answer. */
  readonly status: number
  readonly detail: string
}> {
  override get message() {
    return `${this.method} ${this.path}: ${this.status} ${this.detail}`
  }
}

export interface Api {
  readonly request: (
    method: string,
    path: string,
    body?: object,
    contentType?: string
  ) => Effect.Effect<unknown, RequestFailed>
  readonly get: <T>(resource: Resource<T>, namespace: string, name: string) => Effect.Effect<Saved<T>, RequestFailed>
  /** `undefined`: there is none. */
  readonly find: <T>(
    resource: Resource<T>,
    namespace: string,
    name: string
  ) => Effect.Effect<Saved<T> | undefined, RequestFailed>
  /** Without a namespace: of all namespaces. */
  readonly list: <T>(
    resource: Resource<T>,
    namespace?: string,
    labelSelector?: string
  ) => Effect.Effect<ReadonlyArray<Saved<T>>, RequestFailed>
  /** Server-side apply, by force. The object carries its name and namespace, the resource its kind. */
  readonly apply: <T>(resource: Resource<T>, object: Draft<T>) => Effect.Effect<Saved<T>, RequestFailed>
  /** A merge patch, of the object or of its status. */
  readonly patch: <T>(
    resource: Resource<T>,
    namespace: string,
    name: string,
    patch: object,
    subresource?: "status"
  ) => Effect.Effect<Saved<T>, RequestFailed>
  /** All of a namespace. It is no error if the cluster has no such kind. */
  readonly removeAll: <T>(resource: Resource<T>, namespace: string) => Effect.Effect<void, RequestFailed>
  /** It is no error if there is none. */
  readonly remove: <T>(resource: Resource<T>, namespace: string, name: string) => Effect.Effect<void, RequestFailed>
}

/** An object as one writes it. */
export type Draft<T> = Omit<T, "metadata"> & {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
}

const deadline = "30 seconds"

const pathOf = <T>({ group, namespaced, plural, version }: Resource<T>, namespace: string, name = ""): string =>
  [
    group === "" ? "/api" : `/apis/${group}`,
    version,
    ...(namespaced && namespace !== "" ? ["namespaces", namespace] : []),
    plural,
    ...(name === "" ? [] : [name])
  ].join("/")

export const apiVersionOf = <T>({ group, version }: Resource<T>): string =>
  group === "" ? version : `${group}/${version}`

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

/** A Status' message, or the beginning of whatever else was answered. */
const detailOf = (body: unknown): string =>
  typeof body === "object" && body !== null && "message" in body
    ? String(body.message)
    : String(body).trim().slice(0, 300)

export const make = ({
  ca,
  token,
  url
}: {
  readonly url: string
  readonly ca: string
  readonly token: string
}): Api => {
  const agent = new Https.Agent({ keepAlive: true, ca })
  const request: Api["request"] = (method, path, body, contentType = "application/json") =>
    Effect.callback<unknown, RequestFailed>((resume) => {
      const fail = (status: number, detail: string) =>
        resume(Effect.fail(new RequestFailed({ method, path, status, detail })))
      const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
      const outgoing = Https.request(
        `${url}${path}`,
        {
          method,
          agent,
          ca,
          headers: {
            authorization: `Bearer ${token}`,
            accept: "application/json",
            ...(text === undefined ? {} : { "content-type": contentType, "content-length": text.length })
          }
        },
        (response) => {
          const chunks: Array<Buffer> = []
          response.on("data", (chunk: Buffer) => chunks.push(chunk))
          response.on("error", (error) => fail(0, error.message))
          response.on("end", () => {
            const status = response.statusCode ?? 0
            const answer = parsed(Buffer.concat(chunks).toString("utf8"))
            if (status >= 200 && status < 300) resume(Effect.succeed(answer))
            else fail(status, detailOf(answer))
          })
        }
      )
      outgoing.on("error", (error) => fail(0, error.message))
      outgoing.end(text)
      return Effect.sync(() => void outgoing.destroy())
    }).pipe(
      Effect.timeoutOrElse({
        duration: deadline,
        orElse: () =>
          Effect.fail(new RequestFailed({ method, path, status: 0, detail: `no answer within ${deadline}` }))
      })
    )

  const get: Api["get"] = <T>(resource: Resource<T>, namespace: string, name: string) =>
    request("GET", pathOf(resource, namespace, name)) as Effect.Effect<Saved<T>, RequestFailed>
  const removeAt = (path: string) =>
    request("DELETE", `${path}?propagationPolicy=Background`).pipe(
      Effect.asVoid,
      Effect.catchIf(
        ({ status }) => status === 404,
        () => Effect.void
      )
    )
  return {
    request,
    get,
    find: (resource, namespace, name) =>
      get(resource, namespace, name).pipe(
        Effect.catchIf(
          ({ status }) => status === 404,
          () => Effect.undefined
        )
      ),
    list: <T>(resource: Resource<T>, namespace = "", labelSelector = "") =>
      Effect.map(
        request("GET", `${pathOf(resource, namespace)}?labelSelector=${encodeURIComponent(labelSelector)}`),
        (list) => (list as { readonly items: ReadonlyArray<Saved<T>> }).items
      ),
    apply: <T>(resource: Resource<T>, object: Draft<T>) =>
      request(
        "PATCH",
        `${pathOf(resource, object.metadata.namespace ?? "", object.metadata.name)}?fieldManager=e2e&force=true`,
        { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object },
        "application/apply-patch+yaml"
      ) as Effect.Effect<Saved<T>, RequestFailed>,
    patch: <T>(resource: Resource<T>, namespace: string, name: string, patch: object, subresource?: "status") =>
      request(
        "PATCH",
        `${pathOf(resource, namespace, name)}${subresource === undefined ? "" : `/${subresource}`}`,
        patch,
        "application/merge-patch+json"
      ) as Effect.Effect<Saved<T>, RequestFailed>,
    removeAll: (resource, namespace) => removeAt(pathOf(resource, namespace)),
    remove: (resource, namespace, name) => removeAt(pathOf(resource, namespace, name))
  }
}
