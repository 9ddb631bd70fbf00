"""Programs of the build and of CI: nothing of them is installed or imported by the product."""
