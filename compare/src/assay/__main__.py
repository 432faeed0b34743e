from assay.main import main

main()
