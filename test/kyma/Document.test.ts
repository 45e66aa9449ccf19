import { assert, describe, it } from "@effect/vitest"
import * as Documents from "../example/Document.ts"

const document = "docs/kyma.md"

describe(document, () => {
  it("includes its code by reference", () => Documents.assertIncluded(document))

  it("links to what exists", () => Documents.assertLinks(document))

  it("tells of every plugin of the executable, of its selector and of its labels", () => {
    const [, rows = ""] = /\n\| plugin [^\n]*\n([\s\S]*?)\n\n/.exec(Documents.read(document)) ?? []
    const names = Documents.read("src/bin/velero-plugin-kyma.ts").match(/kyma-project\.io\/[a-z-]+/g) ?? []
    assert.strictEqual(names.length, 5)
    assert.deepStrictEqual(rows.match(/kyma-project\.io\/[a-z-]+/g), names)
    for (const words of [
      "`serviceinstance`",
      "`secret`",
      "`services`",
      "`kyma-integration`",
      "`kyma-system`, `knative-eventing`, `knative-serving`, `istio-system`",
      "`trigger.eventing.knative.dev`",
      "`messaging.knative.dev/role: natss-channel`",
      "`serving.knative.dev/`",
      "`eventing.knative.dev/broker: default`"
    ]) {
      assert.include(rows, words)
    }
  })
})
