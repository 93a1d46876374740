// The order of Node.js package versions by node-semver.
// Reads lines `a<TAB>b`; writes one line for each: `<`, `=`, `>`, or `!` where a version does not parse.
'use strict'

const semver = require('semver')
const { readFileSync } = require('fs')

const sign = (line) => {
  const [a, b] = line.split('\t')
  if (semver.valid(a) === null || semver.valid(b) === null) return '!'
  return '<=>'[semver.compare(a, b) + 1]
}

const lines = readFileSync(0, 'utf8').replace(/\n$/, '').split('\n')
process.stdout.write(lines.map(sign).join('\n') + '\n')
