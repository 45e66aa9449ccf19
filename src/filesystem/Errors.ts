/**
 * What goes wrong with a directory, as sentences that say what to do.
 *
 * `SystemError` is what a system call answered; `explain` makes of it the error that a person reads in the status of a backup or
 * a location.
 */
import * as Data from "effect/Data"

/** A system call's answer. */
export class SystemError extends Data.TaggedError("SystemError")<{
  /** `ENOENT`, … */
  readonly code: string
  readonly call: string
  /** The path, for messages. */
  readonly path: string
}> {
  override get message() {
    return `${this.call} ${this.path}: ${this.code}`
  }
}

/** The directory that everything is under does not exist, or is none. */
export class NoRoot extends Data.TaggedError("NoRoot")<{ readonly root: string; readonly reason: string }> {
  override get message() {
    return `the root ${this.root} ${this.reason}. Mount the volume there in this pod, or correct root in the location's spec.config; it is never made, since a volume that is not mounted looks just like it`
  }
}

/** A bucket is a directory that `Init` makes for its location. */
export class NoBucket extends Data.TaggedError("NoBucket")<{ readonly bucket: string; readonly root: string }> {
  override get message() {
    return `the bucket ${this.bucket} does not exist: ${this.root} has no such directory. Make it, or correct spec.objectStorage.bucket of the location`
  }
}

/** Nothing is stored under the key. */
export class NoObject extends Data.TaggedError("NoObject")<{ readonly bucket: string; readonly key: string }> {
  override get message() {
    return `not found: bucket ${this.bucket} has no object ${JSON.stringify(this.key)}`
  }
}

/** A path leads through something that could point elsewhere. */
export class LinkRefused extends Data.TaggedError("LinkRefused")<{ readonly what: string; readonly path: string }> {
  override get message() {
    return `${this.what} is refused: ${this.path} is a symbolic link, which could lead out of the root. Replace it by what it points to`
  }
}

/** A path leads through a file, or ends at a device, a socket or a pipe. */
export class NotAnObject extends Data.TaggedError("NotAnObject")<{ readonly what: string; readonly path: string }> {
  override get message() {
    return `${this.what} cannot be used: ${this.path} is neither a directory nor a regular file. Remove it`
  }
}

export class NoSpace extends Data.TaggedError("NoSpace")<{
  readonly what: string
  readonly path: string
  readonly code: string
}> {
  override get message() {
    const which = this.code === "EDQUOT" ? "the quota is used up" : "no space is left on the file system"
    return `${this.what} was not stored: ${which} (${this.code}, ${this.path}). Enlarge the volume, delete backups or let them expire; nothing half-written stays`
  }
}

export class ReadOnly extends Data.TaggedError("ReadOnly")<{ readonly what: string; readonly path: string }> {
  override get message() {
    return `${this.what} cannot be written: the file system is mounted read-only (EROFS, ${this.path}). Mount it read-write, or set accessMode: ReadOnly on the location`
  }
}

export class AccessDenied extends Data.TaggedError("AccessDenied")<{
  readonly what: string
  readonly path: string
  readonly code: string
  readonly call: string
}> {
  override get message() {
    return `${this.what} cannot be reached: this process may not ${this.call} ${this.path} (${this.code}). Give its user or group access to the directory, such as by fsGroup in the pod's securityContext, or on the NFS server`
  }
}

/** Any other answer of the system. */
export class StorageFailed extends Data.TaggedError("StorageFailed")<{
  readonly what: string
  readonly path: string
  readonly code: string
  readonly call: string
}> {
  override get message() {
    return `${this.what}: ${this.call} ${this.path} failed (${this.code}). ${remedies[this.code] ?? "Look at the volume and at the kernel's log of its node"}`
  }
}

const remedies: Readonly<Record<string, string>> = {
  EXDEV: "The root must be one file system: mount volumes at the root, not at a bucket or below",
  ESTALE: "The NFS server no longer knows this file: restart the pod, so that the volume is mounted anew",
  EIO: "The disk or its connection is broken: look at the kernel's log of the node",
  EMFILE: "The process has too many open files: raise its limit (ulimit -n)",
  ENFILE: "The node has too many open files",
  ENAMETOOLONG: "The file system's limit for names is below 255 bytes, which every key needs: use another one",
  EFBIG: "The file system cannot hold a file of that size: use another one"
}

export type StorageError =
  | NoRoot
  | NoBucket
  | NoObject
  | LinkRefused
  | NotAnObject
  | NoSpace
  | ReadOnly
  | AccessDenied
  | StorageFailed

/** The error that a person gets for a system's answer; `what` is what it was about, such as `object "a/b" of bucket c`. */
export const explain =
  (what: string) =>
  ({ call, code, path }: SystemError): NoSpace | ReadOnly | AccessDenied | StorageFailed => {
    switch (code) {
      case "ENOSPC":
      case "EDQUOT":
        return new NoSpace({ what, path, code })
      case "EROFS":
        return new ReadOnly({ what, path })
      case "EACCES":
      case "EPERM":
        return new AccessDenied({ what, path, code, call })
      default:
        return new StorageFailed({ what, path, code, call })
    }
  }
