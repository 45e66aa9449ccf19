/**
 * What a request is answered with, and the `Status` objects that kube-apiserver answers failures with.
 *
 * @see https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go
 */
import type { Resource } from "./Resources.ts"
import { groupResource } from "./Resources.ts"
import type { Tree } from "./Tree.ts"
import { defined } from "./Tree.ts"

export interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: string
  /** Seconds. */
  readonly retryAfter?: number
}

export const json = (status: number, body: unknown): Answer => ({
  status,
  contentType: "application/json",
  body: `${JSON.stringify(body)}\n`
})

export const text = (status: number, body: string): Answer => ({
  status,
  contentType: "text/plain; charset=utf-8",
  body
})

/** A 200 whose JSON ends too early. */
export const brokenOff: Answer = {
  status: 200,
  contentType: "application/json",
  body: '{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":"1"},"items":[{"apiVersion":"v1","ki'
}

interface Failure {
  readonly code: number
  readonly reason: string | undefined
  readonly message: string
  readonly details?: Tree
  readonly metadata?: Tree
  readonly retryAfter?: number
}

const failure = ({ code, details, message, metadata, reason, retryAfter }: Failure): Answer => ({
  ...json(
    code,
    defined({
      kind: "Status",
      apiVersion: "v1",
      metadata: metadata ?? {},
      status: "Failure",
      message,
      reason,
      details: retryAfter === undefined ? details : { ...details, retryAfterSeconds: retryAfter },
      code
    })
  ),
  ...(retryAfter === undefined ? {} : { retryAfter })
})

type GroupResource = Pick<Resource, "group" | "resource">

const details = ({ group, resource }: GroupResource, name: string | undefined): Tree =>
  defined({ name: name === "" ? undefined : name, group: group === "" ? undefined : group, kind: resource })

const quote = (value: string): string => JSON.stringify(value)

/** What the server calls the user of every token. */
export const user = "system:serviceaccount:velero:velero"

export const unauthorized: Answer = failure({ code: 401, reason: "Unauthorized", message: "Unauthorized" })

export const badRequest = (message: string): Answer => failure({ code: 400, reason: "BadRequest", message })

/** An API group that nobody serves, or an unknown custom resource: the text of Go's `http.NotFound`, not a Status. */
export const noSuchPath: Answer = text(404, "404 page not found\n")

/** Defaults of `NewGenericServerResponse`. */
const generic = new Map<number, readonly [reason: string, message: string]>([
  [400, ["BadRequest", "the server rejected our request for an unknown reason"]],
  [401, ["Unauthorized", "the server has asked for the client to provide credentials"]],
  [403, ["Forbidden", "forbidden"]],
  [404, ["NotFound", "the server could not find the requested resource"]],
  [405, ["MethodNotAllowed", "the server does not allow this method on the requested resource"]],
  [409, ["Conflict", "the server reported a conflict"]],
  [410, ["Expired", "the requested resource version is too old"]],
  [422, ["Invalid", "the server rejected our request due to an error in our request"]],
  [429, ["TooManyRequests", "the server has received too many requests and has asked us to try again later"]],
  [503, ["ServiceUnavailable", "the server is currently unable to handle the request"]],
  [
    504,
    [
      "Timeout",
      "the server was unable to return a response in the time allotted, but may still be processing the request"
    ]
  ]
])

/** A Status with the server's usual text for a code. */
export const genericStatus = (
  code: number,
  options: {
    readonly reason?: string | undefined
    readonly message?: string | undefined
    readonly retryAfter?: number | undefined
  } = {}
): Answer => {
  const [reason, message] = generic.get(code) ?? [
    code >= 500 ? "InternalError" : undefined,
    code >= 500
      ? `an error on the server ("unknown") has prevented the request from succeeding`
      : `the server responded with the status code ${code} but did not return more information`
  ]
  return failure({
    code,
    reason: options.reason ?? reason,
    message: options.message ?? message,
    details: {},
    ...(options.retryAfter === undefined ? {} : { retryAfter: options.retryAfter })
  })
}

export const forbidden = (attributes: {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly namespace: string | undefined
  readonly name: string | undefined
}): Answer => {
  const scope =
    attributes.namespace === undefined ? "at the cluster scope" : `in the namespace ${quote(attributes.namespace)}`
  const subject = groupResource(attributes) + (attributes.name === undefined ? "" : ` ${quote(attributes.name)}`)
  return failure({
    code: 403,
    reason: "Forbidden",
    message: `${subject} is forbidden: User ${quote(user)} cannot ${attributes.verb} resource ${quote(attributes.resource)} in API group ${quote(attributes.group)} ${scope}`,
    details: details(attributes, attributes.name)
  })
}

export const notFound = (resource: GroupResource, name: string): Answer =>
  failure({
    code: 404,
    reason: "NotFound",
    message: `${groupResource(resource)} ${quote(name)} not found`,
    details: details(resource, name)
  })

export const alreadyExists = (resource: GroupResource, name: string): Answer =>
  failure({
    code: 409,
    reason: "AlreadyExists",
    message: `${groupResource(resource)} ${quote(name)} already exists`,
    details: details(resource, name)
  })

export const conflict = (resource: GroupResource, name: string, why: string): Answer =>
  failure({
    code: 409,
    reason: "Conflict",
    message: `Operation cannot be fulfilled on ${groupResource(resource)} ${quote(name)}: ${why}`,
    details: details(resource, name)
  })

export const modified = (resource: GroupResource, name: string): Answer =>
  conflict(
    resource,
    name,
    "the object has been modified; please apply your changes to the latest version and try again"
  )

/** A field that another manager owns. */
export interface FieldConflict {
  /** As Kubernetes prints it: `"velero-server" using v1`. */
  readonly manager: string
  /** `.spec.replicas` */
  readonly field: string
}

/** @see https://github.com/kubernetes/kubernetes/blob/v1.34.0/staging/src/k8s.io/apimachinery/pkg/util/managedfields/internal/conflict.go */
export const applyConflict = (conflicts: ReadonlyArray<FieldConflict>): Answer => {
  const [only] = conflicts
  const managers = [...new Set(conflicts.map(({ manager }) => manager))]
  const message =
    only !== undefined && conflicts.length === 1
      ? `Apply failed with 1 conflict: conflict with ${only.manager}: ${only.field}`
      : `Apply failed with ${conflicts.length} conflicts: ${managers
          .flatMap((manager) => [
            `conflicts with ${manager}:`,
            ...conflicts.flatMap((found) => (found.manager === manager ? [`- ${found.field}`] : []))
          ])
          .join("\n")}`
  return failure({
    code: 409,
    reason: "Conflict",
    message,
    details: {
      causes: conflicts.map(({ field, manager }) => ({
        reason: "FieldManagerConflict",
        message: `conflict with ${manager}`,
        field
      }))
    }
  })
}

/** `kind` in Go's `schema.GroupKind` spelling. */
export const invalid = (
  subject: { readonly group: string; readonly kind: string },
  name: string,
  field: string,
  reason: "FieldValueRequired" | "FieldValueInvalid" | "FieldValueForbidden",
  message: string
): Answer =>
  failure({
    code: 422,
    reason: "Invalid",
    message: `${groupResource({ group: subject.group, resource: subject.kind })} ${quote(name)} is invalid: ${field}: ${message}`,
    details: {
      ...details({ group: subject.group, resource: subject.kind }, name),
      causes: [{ reason, message, field }]
    }
  })

/** A storage error that the server does not translate. */
export const untranslated = (message: string): Answer => failure({ code: 500, reason: undefined, message })

export const unsupportedMediaType = (accepted: ReadonlyArray<string>): Answer =>
  failure({
    code: 415,
    reason: "UnsupportedMediaType",
    message: `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`
  })

/** The list is too old to be continued; `token` continues it all the same, with what is there now. */
export const expired = (token: string): Answer =>
  failure({
    code: 410,
    reason: "Expired",
    message:
      "The provided continue parameter is too old to display a consistent list result. You can start a new list without " +
      "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. " +
      "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or " +
      "deleted between the time the first chunk was returned and now may show up in the list.",
    metadata: { continue: token }
  })

export const deleted = (resource: GroupResource, name: string, uid: string): Answer =>
  json(200, {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: { ...details(resource, name), uid }
  })
