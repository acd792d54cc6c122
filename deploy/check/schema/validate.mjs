// Has AsyncAPI's own parser look at documents, and prints what it finds wrong: validate.mjs DIRECTORY FILE…, where the
// directory is that in which @asyncapi/parser is installed. Exits with 1 if there is something wrong.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import path from 'node:path'

const [directory, ...files] = process.argv.slice(2)
const { Parser } = createRequire(path.resolve(directory) + path.sep)('@asyncapi/parser')
const parser = new Parser()
for (const file of files) {
  const { document, diagnostics } = await parser.parse(readFileSync(file, 'utf8'), { source: path.resolve(file) })
  // That there is a later version of AsyncAPI, which few tools read yet, is nothing wrong.
  const found = diagnostics.filter((d) => d.code !== 'asyncapi-latest-version')
  for (const d of found) console.log(`${file}:${d.range.start.line + 1}: ${d.message} (${d.code})`)
  if (!document || found.length > 0) process.exitCode = 1
}
