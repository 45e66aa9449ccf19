import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import packageLock from "../../package-lock.json" with { type: "json" }
import packageJson from "../../package.json" with { type: "json" }
import type { BundledPackage } from "../../src/release/Bundled.ts"
import { packageFolders } from "../../src/release/Bundled.ts"
import { bundledPackages, notice } from "../../src/release/Main.ts"
import * as Notice from "../../src/release/Notice.ts"
import * as Sbom from "../../src/release/Sbom.ts"
import { repository } from "../executable/Executable.ts"

/** Of what may be in the executable. */
const allowed = ["0BSD", "Apache-2.0", "BSD-3-Clause", "ISC", "MIT", "Unlicense"]

let packages: ReadonlyArray<BundledPackage> = []
beforeAll(async () => {
  packages = await bundledPackages()
})

describe("packageFolders", () => {
  it("are those of packages that lie in packages, too, and of no module of ours", () => {
    const inputs = ["src/a.ts", "node_modules/b/lib/x.js", "node_modules/b/index.js", "node_modules/@c/d/e.js"]
    const nested = "../node_modules/@c/d/node_modules/b/index.js"
    assert.deepStrictEqual(
      packageFolders({ inputs: Object.fromEntries([...inputs, nested].map((each) => [each, {}])) }),
      ["../node_modules/@c/d/node_modules/b", "node_modules/@c/d", "node_modules/b"]
    )
  })
})

describe("the packages in the executable", () => {
  it("are those of the lock file", () => {
    const locked = packageLock.packages as Readonly<Record<string, { readonly version?: string }>>
    assert.isAbove(packages.length, 10)
    for (const { name, version } of packages) {
      const versions = Object.entries(locked).flatMap(([path, each]) =>
        path.endsWith(`node_modules/${name}`) ? each.version : []
      )
      assert.include(versions, version, name)
    }
  })

  it("are permissively licensed, and come with the text of their licence", () => {
    for (const { licence, name, texts } of packages) {
      for (const each of licence.split(" AND ")) assert.include(allowed, each, name)
      assert.isAbove(texts.join("").length, 100, name)
    }
  })
})

describe("NOTICE", () => {
  it("is up to date: npm run made", async () => {
    assert.strictEqual(Fs.readFileSync(Path.join(repository, "NOTICE"), "utf8"), await notice())
  })

  it("names every package with its authors, and has a text that some share once", () => {
    const mit = (author: string) => `MIT License\n\nCopyright (c) 2020 ${author}\n\nPermission is granted\nto all.`
    const one = { name: "one", version: "1.0.0", licence: "MIT", texts: [mit("A")] }
    const two = { name: "@t/wo", version: "2.0.0", licence: "MIT", texts: [mit("B").replace("granted\n", "granted ")] }
    const text = Notice.render([one, two], {
      version: "9.9.9",
      licence: "---\ntitle: L\n---\n\nSee [`it`](https://it)."
    })
    assert.include(
      text,
      "one 1.0.0 (MIT)\n  Copyright (c) 2020 A\n@t/wo 2.0.0 (MIT)\n  Copyright (c) 2020 B\n\nMIT License\n\nPermission"
    )
    assert.strictEqual(text.split("Permission").length, 2)
    assert.isTrue(text.endsWith("Bun 9.9.9 (MIT)\n\nSee it <https://it>.\n"))
  })
})

describe("the bill of materials", () => {
  it("has every package once, and the runtime", () => {
    const { license: licence, name, version } = packageJson
    const bom = Sbom.render({ name, version, licence }, packages, "9.9.9") as {
      readonly components: ReadonlyArray<{ readonly purl: string; readonly "bom-ref": string }>
      readonly dependencies: ReadonlyArray<{ readonly dependsOn: ReadonlyArray<string> }>
    }
    const purls = bom.components.map(({ purl }) => purl)
    assert.strictEqual(new Set(purls).size, packages.length + 1)
    assert.include(purls, "pkg:npm/bun@9.9.9")
    assert.include(purls, `pkg:npm/%40bufbuild/protobuf@${packageJson.dependencies["@bufbuild/protobuf"]}`)
    assert.deepStrictEqual(bom.dependencies[0]?.dependsOn, purls)
  })
})
