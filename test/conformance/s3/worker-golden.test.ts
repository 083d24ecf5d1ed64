import { sinkConformance } from '../sinks/tests.ts'
import { s3Suite } from './suite.ts'

sinkConformance('s3', s3Suite)
