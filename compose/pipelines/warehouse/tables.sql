CREATE SCHEMA IF NOT EXISTS payroll;

CREATE TABLE payroll.salary_paid (
  event_id VARCHAR(64) NOT NULL,
  kind VARCHAR(64) NOT NULL,
  company_id BIGINT NOT NULL,
  employee_id BIGINT,
  email VARCHAR(255),
  iban VARCHAR(64),
  amount DECIMAL(18,2),
  occurred_at BIGINT NOT NULL,
  attributes SUPER,
  __partition INTEGER NOT NULL,
  __offset BIGINT NOT NULL
) DISTKEY(company_id) SORTKEY(occurred_at);

CREATE TABLE payroll.employee_hired (LIKE payroll.salary_paid);
CREATE TABLE payroll.timesheet_entry (LIKE payroll.salary_paid);
CREATE TABLE payroll.benefit_elected (LIKE payroll.salary_paid);
