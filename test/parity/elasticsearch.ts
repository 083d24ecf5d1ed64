import { elasticsearchSuite } from '../conformance/elasticsearch/suite.ts'
import { runSinkCases } from '../conformance/sinks/run.ts'

process.exitCode = await runSinkCases(elasticsearchSuite(), process.argv.slice(2))
