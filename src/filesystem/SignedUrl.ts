/**
 * URLs that anybody may download one object with, until they expire: pure functions.
 *
 * `<publicUrl>/<bucket>/<key>?expires=<Unix seconds>&signature=<base64url>`. The signature is HMAC-SHA256 over the JSON array of
 * method, bucket, key and expiry, which no other four values spell. Components of the key are spelled as in the directory
 * before they are percent-encoded, so that no proxy on the way finds `//` or `/./` to make shorter.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Names from "./Names.ts"

/** What a signature allows. */
export interface Grant {
  /** `HEAD` is a `GET` without its body, and needs no other signature. */
  readonly method: "GET"
  readonly bucket: string
  readonly key: string
  /** Unix time in seconds. */
  readonly expires: number
}

const digest = (signingKey: Uint8Array, { bucket, expires, key, method }: Grant): Buffer =>
  createHmac("sha256", signingKey)
    .update(JSON.stringify([method, bucket, key, expires]))
    .digest()

export const sign = (signingKey: Uint8Array, grant: Grant): string => digest(signingKey, grant).toString("base64url")

/** Whether one of the keys made a signature. Takes as long for a wrong one as for a right one. */
export const isSigned = (signingKeys: ReadonlyArray<Uint8Array>, grant: Grant, signature: string): boolean => {
  const given = Buffer.from(signature, "base64url")
  let isRight = false
  for (const signingKey of signingKeys) {
    const expected = digest(signingKey, grant)
    // Of another length, which tells nothing, the comparison is with itself, and does not count.
    const isEqual = timingSafeEqual(expected, given.length === expected.length ? given : expected)
    isRight = (isEqual && given.length === expected.length) || isRight
  }
  return isRight
}

/** The URL of a grant. */
export const url = (publicUrl: string, grant: Grant, signature: string): string => {
  const path = [grant.bucket, ...grant.key.split("/").map(Names.escape)].map(encodeURIComponent).join("/")
  return `${publicUrl.replace(/\/+$/, "")}/${path}?expires=${grant.expires}&signature=${signature}`
}

/** A request, before its signature was looked at. */
export interface Claim {
  readonly grant: Grant
  readonly signature: string
}

const decode = (component: string): Option.Option<string> =>
  Option.flatMap(Option.liftThrowable(() => decodeURIComponent(component))(), Names.unescape)

/** Reads the target of a `GET` or `HEAD` request (`/bucket/key?…`); none where it is no URL of ours. */
export const parse = (target: string): Option.Option<Claim> => {
  const [, path = "", query = ""] = /^\/([^?#]*)\?([^#]*)$/.exec(target) ?? []
  const [bucketName = "", ...components] = path.split("/")
  const bucket = Result.getSuccess(Names.bucket(bucketName))
  const key = Option.filter(
    Option.map(Option.all(components.map(decode)), (decoded) => decoded.join("/")),
    (text) => Result.isSuccess(Names.place(text))
  )
  const parameters = new URLSearchParams(query)
  const only = (name: string, pattern: RegExp): Option.Option<string> =>
    Option.filter(Option.fromNullishOr(parameters.get(name)), (value) => pattern.test(value))
  return Option.map(
    Option.all({
      bucket,
      key,
      expires: only("expires", /^\d{1,12}$/),
      signature: only("signature", /^[\w-]{43}$/)
    }),
    (found) => ({
      grant: { method: "GET", bucket: found.bucket, key: found.key, expires: Number(found.expires) },
      signature: found.signature
    })
  )
}
