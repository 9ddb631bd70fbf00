-- outside a transaction
-- The codes of outcomes that were written before there were codes, by the sentences of that time. What matches none
-- stays ''. Finished rows only: work under way writes its own.
UPDATE events SET outcome_code = CASE
    WHEN status = 'discarded' THEN 'discarded'
    WHEN reason LIKE 'taken together%' THEN 'taken_together'
    WHEN reason LIKE 'caused by our own%' THEN 'own_echo'
    WHEN reason LIKE 'superseded%' THEN 'superseded'
    WHEN reason LIKE 'not closed%' THEN 'not_closed'
    WHEN reason LIKE 'closed before%' THEN 'closed_too_early'
    WHEN reason LIKE 'deleted in Taiga%' THEN 'deleted_in_taiga'
    WHEN reason LIKE 'not marked billable%' THEN 'not_marked_billable'
    WHEN reason LIKE 'no hours yet%' THEN 'no_hours'
    WHEN reason LIKE 'below the minimum%' THEN 'below_minimum'
    WHEN reason LIKE 'rounds down to nothing%' THEN 'rounds_to_nothing'
    WHEN reason LIKE 'nothing is billed for type%' THEN 'type_not_billed'
    WHEN reason LIKE '%this type is not in billable_types%' THEN 'type_not_billed'
    WHEN reason LIKE 'nothing is billed%' THEN 'type_not_handled'
    WHEN reason LIKE 'events of type % say nothing about payments' THEN 'not_about_payments'
    WHEN reason LIKE 'unforeseen%' THEN 'unforeseen'
    WHEN reason LIKE 'gave up after%' THEN 'gave_up'
    WHEN reason LIKE 'nothing to bill%' OR reason = 'nothing is unbilled' THEN 'nothing_to_bill'
    WHEN reason = 'test' THEN 'test_webhook'
    ELSE ''
END
WHERE outcome_code = '' AND status IN ('processed', 'ignored', 'dead', 'discarded');
