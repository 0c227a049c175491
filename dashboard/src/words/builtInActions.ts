/** The names of the actions that the service knows by itself; a company may have others. */
export const BUILT_IN_ACTIONS = [
  'assign_dedicated_manager',
  'assign_owner',
  'assign_to_sales_team',
  'create_feedback_request',
  'create_follow_up_task',
  'create_quarterly_review',
  'create_retention_campaign',
  'notify_account_manager',
  'personal_call',
  'personal_email',
  'personal_offer',
  'schedule_check_in_call',
  'send_onboarding_sequence',
  'send_vip_benefits_email',
  'send_welcome_email',
  'update_crm_status',
] as const;
