import { sinkConformance } from '../sinks/tests.ts'
import { elasticsearchSuite } from './suite.ts'

sinkConformance('elasticsearch', elasticsearchSuite)
