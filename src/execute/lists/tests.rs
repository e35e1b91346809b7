//! Command lines through the handlers of lists.
