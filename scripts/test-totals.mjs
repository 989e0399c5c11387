// Turns vitest's JSON report into the one line `N passed, N failed, N skipped`. Fails where there is no report, no test passed, or any test failed.
import { existsSync, readFileSync } from 'node:fs';

const [report = '.cache/test-report.json'] = process.argv.slice(2);
const totals = { passed: 0, failed: 0, skipped: 0 };
if (existsSync(report)) {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
  // A file that could not even be loaded has no test to its name, and is one failure.
  const broken = testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0).length;
  Object.assign(totals, { passed: numPassedTests, failed: numFailedTests + broken, skipped: numPendingTests + numTodoTests });
}
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = totals.passed > 0 && totals.failed === 0 ? 0 : 1;
