import { s3Suite } from '../conformance/s3/suite.ts'
import { runSinkCases } from '../conformance/sinks/run.ts'

process.exitCode = await runSinkCases(s3Suite(), process.argv.slice(2))
