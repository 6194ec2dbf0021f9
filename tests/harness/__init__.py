"""What the tests share: kinds of loop, outcomes to compare, leak checks, child processes."""
