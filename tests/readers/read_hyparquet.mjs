// hyparquet: JavaScript, file by file. It does not name types, so it says none.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const modules = join(process.env.READER, 'node_modules')
const { parquetReadObjects } = await import(pathToFileURL(join(modules, 'hyparquet/src/node.js')))
const { compressors } = await import(pathToFileURL(join(modules, 'hyparquet-compressors/src/index.js')))
const { version } = JSON.parse(readFileSync(join(modules, 'hyparquet/package.json')))
const [archive, day] = process.argv.slice(2)

function filesOf(dataset, partition = 'billing_day=') {
  const root = join(archive, dataset)
  const folders = dataset.endsWith('_undated') ? ['.'] : readdirSync(root).filter((name) => name.startsWith(partition))
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder)).filter((name) => name.endsWith('.parquet')).map((name) => join(root, folder, name)))
}

async function read(files, columns) {
  const rows = []
  for (const path of files) {
    const bytes = readFileSync(path)
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
    for (const row of await parquetReadObjects({ file, columns, compressors, utf8: false })) rows.push(row)
  }
  return rows
}

const columns = ['billing_date', 'product_code', 'region', 'sub_code', 'verified_at', 'duplicate_faces']
const dated = await read(filesOf('verifications'), columns)
const undated = await read(filesOf('verifications_undated'), columns)
const iso = (date) => (date ? date.toISOString().slice(0, 10) : '')
const counts = new Map()
for (const row of [...dated, ...undated]) {
  const key = JSON.stringify([iso(row.billing_date), row.product_code, row.region, row.sub_code])
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
const faces = [...dated, ...undated].flatMap((row) => row.duplicate_faces ?? [])
const times = dated.filter((row) => row.verified_at).map((row) => row.verified_at.getTime() * 1000)
const images = await read(filesOf('face_images'), ['image'])
const oneDay = await read(filesOf('verifications', `billing_day=${day}`), ['billing_date'])
const order = (a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
console.log(JSON.stringify({
  version,
  rows: {
    verifications_dated: dated.length,
    verifications_undated: undated.length,
    face_images_dated: images.length,
    face_images_undated: (await read(filesOf('face_images_undated'), ['sha256'])).length,
  },
  tallies: [...counts].map(([key, count]) => [...JSON.parse(key), count]).sort(order),
  day_rows: oneDay.filter((row) => iso(row.billing_date) === day).length,
  day_files: filesOf('verifications', `billing_day=${day}`).length,
  faces: [faces.length, Math.round(faces.reduce((sum, face) => sum + (face.score ?? 0), 0) * 1e6) / 1e6],
  times: [times.reduce((a, b) => Math.min(a, b)), times.reduce((a, b) => Math.max(a, b))],
  image_bytes: images.reduce((sum, row) => sum + row.image.length, 0),
}))
