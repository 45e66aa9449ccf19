/**
 * What is in the executable besides our own code: the packages whose modules were bundled, and their licences.
 *
 * Not what `package-lock.json` calls a dependency: the bundler's own list of the modules that it took.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

/** The part of `bun build --metafile` that is read here. */
export interface Metafile {
  /** By path, from the directory of the build. */
  readonly inputs: Readonly<Record<string, unknown>>
}

export interface BundledPackage {
  readonly name: string
  readonly version: string
  /** An SPDX expression, as the package declares it. */
  readonly licence: string
  /** The licence's text, and further notices that the package comes with. */
  readonly texts: ReadonlyArray<string>
}

/** Folders of packages that modules are from, without repetition, in the order of their names. */
export const packageFolders = ({ inputs }: Metafile): ReadonlyArray<string> =>
  [
    ...new Set(
      Object.keys(inputs).flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0] ?? [])
    )
  ].toSorted()

const isLicence = (file: string): boolean => /^(un)?licen[cs]e|^copying|^copyright|^notice/i.test(file)

/** A package without a file of its licence has it at the beginning of a module. */
const headers: Readonly<Record<string, string>> = { "@bufbuild/protobuf": "dist/esm/wire/varint.js" }

/** The comment that a module begins with. */
const headerOf = (source: string): string =>
  (/^(?:\/\/.*\n)+/.exec(source)?.[0] ?? "").replaceAll(/^\/\/ ?/gm, "").trim()

/** Reads a package's own folder. */
export const readPackage = (folder: string): BundledPackage => {
  const read = (file: string) => Fs.readFileSync(Path.join(folder, file), "utf8")
  const manifest = JSON.parse(read("package.json")) as Readonly<Record<"name" | "version" | "license", string>>
  const header = headers[manifest.name]
  return {
    name: manifest.name,
    version: manifest.version,
    licence: manifest.license.replace(/^\((.*)\)$/, "$1"),
    texts: [
      ...Fs.readdirSync(folder)
        .filter(isLicence)
        .toSorted()
        .map((file) => read(file).replaceAll("\r\n", "\n").trim()),
      ...(header === undefined ? [] : [headerOf(read(header))])
    ]
  }
}
